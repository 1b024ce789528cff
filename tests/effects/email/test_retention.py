"""What was taken is kept for its time and then purged, which is never mistaken for a release."""

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from quell.remediation.v1 import email_pb2, target_pb2

from effect_runs import DONE, MISSING, do, undo
from eventually import eventually
from mail_deaths import Crash, CrashError
from mail_tree import CAMPAIGN, MailTree
from quell_email.effects.retention import Retention
from quell_email.effects.soft_delete_messages import SoftDeleteMessages
from quell_email.maildir.backend import Maildirs
from quell_email.maildir.index import Index
from quell_email.maildir.purging import BATCH
from quell_email.parsing.parser import Parser
from quell_runtime.seams import Point, SystemClock, nowhere

ANN = "ann@example.org"
KEEP = timedelta(days=30)
MARGIN = timedelta(hours=1)
PURGED = "MESSAGE_PURGED"


class Later(SystemClock):
    """The machine's clock, put forward: the files have the machine's own times."""

    def __init__(self, ahead: timedelta) -> None:
        """Put it forward by so much."""
        self._ahead = ahead

    def now(self) -> datetime:
        """Return the time."""
        return datetime.now(UTC) + self._ahead


def order(*mailboxes: str) -> email_pb2.SoftDeleteMessages:
    """Order the campaign to be deleted."""
    cluster = target_pb2.MessageCluster(sender_domain="evil.example", mailboxes=[f"mailboxes/{a}" for a in mailboxes])
    return email_pb2.SoftDeleteMessages(messages=target_pb2.MessageSelector(cluster=cluster))


def hold(tree: MailTree) -> list[Path]:
    """Return what lies in the hold of ann's mailbox."""
    return sorted((tree.base / ANN / ".quell-Maildir").iterdir())


def retention(tree: MailTree, parser: Parser, ahead: timedelta, point: Point = nowhere) -> Retention:
    """Return a retention of 30 days at a later time."""
    return Retention(Maildirs(tree.pattern, Index(parser), point), Later(ahead), KEEP)


async def test_after_its_time_it_is_gone_and_undo_says_so(
    tree: MailTree, effect: SoftDeleteMessages, parser: Parser
) -> None:
    """Its bytes are nowhere, the deletion stands, and undo tells of each that it is purged, a second time too."""
    run = await do(effect, order())
    await retention(tree, parser, KEEP + MARGIN).purge()
    assert [path.suffix for path in hold(tree)] == [".purged"]
    assert not [path for path in tree.base.rglob("*") if path.is_file() and path.read_bytes() == CAMPAIGN]
    assert [finding.state for finding in await effect.probe(run.plan)] == [DONE] * 3
    for _ in range(2):
        undone = await undo(effect, run.plan)
        assert (undone.after, undone.reasons) == ([MISSING] * 3, [PURGED] * 3)
    assert await effect.marks() == []


async def test_before_its_time_it_comes_back(tree: MailTree, effect: SoftDeleteMessages, parser: Parser) -> None:
    """The control: an hour less, and undo restores all of it."""
    before = tree.photograph(ANN)
    run = await do(effect, order())
    await retention(tree, parser, KEEP - MARGIN).purge()
    assert (await undo(effect, run.plan)).after == [DONE] * 3
    assert tree.photograph(ANN) == before


async def test_what_was_released_and_then_deleted_by_its_user_is_not_called_purged(
    tree: MailTree, effect: SoftDeleteMessages, parser: Parser
) -> None:
    """Whoever asks afterwards hears that it is missing, for no reason of ours."""
    run = await do(effect, order(ANN))
    await undo(effect, run.plan)
    (tree.root(ANN) / "new" / "1.camp").unlink()
    await retention(tree, parser, KEEP + MARGIN).purge()
    undone = await undo(effect, run.plan)
    assert (undone.after, undone.reasons) == ([MISSING], [""])
    assert hold(tree) == []


async def test_what_has_lost_its_record_is_purged_too(
    tree: MailTree, effect: SoftDeleteMessages, parser: Parser
) -> None:
    """It could not be put back anyhow."""
    run = await do(effect, order(ANN))
    next(path for path in hold(tree) if path.suffix == ".json").unlink()
    await retention(tree, parser, KEEP - MARGIN).purge()
    assert len(hold(tree)) == 1
    await retention(tree, parser, KEEP + MARGIN).purge()
    assert (await undo(effect, run.plan)).reasons == [PURGED]


async def test_it_goes_in_batches(tree: MailTree, effect: SoftDeleteMessages, parser: Parser) -> None:
    """However much is due, nobody else waits for all of it."""
    for number in range(2 * BATCH):
        tree.deliver(ANN, CAMPAIGN + b"%d" % number, base=f"{number}.more")
    run = await do(effect, order(ANN))
    mailboxes = Maildirs(tree.pattern, Index(parser))
    due = datetime.now(UTC) + MARGIN
    assert [await mailboxes.purge(ANN, due) for _ in range(4)] == [BATCH, BATCH, 1, 0]
    assert set((await undo(effect, run.plan)).reasons) == {PURGED}


@pytest.mark.parametrize("resumed", [True, False])
@pytest.mark.parametrize("at", range(1, 10))
async def test_killed_at_any_point_each_is_either_held_or_purged(
    tree: MailTree,
    effect: SoftDeleteMessages,
    parser: Parser,
    at: int,
    resumed: bool,  # noqa: FBT001 - a case
) -> None:
    """Undo brings back what is held and tells of the rest; the next purge ends what was begun."""
    for number in range(3):
        tree.deliver(ANN, CAMPAIGN + b"%d" % number, base=f"{number}.more")
    run = await do(effect, order(ANN))
    with pytest.raises(CrashError):
        await retention(tree, parser, KEEP + MARGIN, Crash(at)).purge()
    if resumed:
        await retention(tree, parser, KEEP + MARGIN).purge()
    undone = await undo(effect, run.plan)
    back = 0 if resumed else max(0, 4 - at)
    assert sorted(undone.after) == sorted([DONE] * back + [MISSING] * (4 - back))
    assert undone.reasons.count(PURGED) == 4 - back
    if resumed:
        assert [path.suffix for path in hold(tree)] == [".purged"]
    seen = [facts[0] for facts in tree.photograph(ANN).messages.values()]
    assert sum(raw.startswith(CAMPAIGN) for raw in seen) == back


async def test_one_mailbox_that_cannot_be_worked_on_is_passed_over(
    tree: MailTree, effect: SoftDeleteMessages, parser: Parser
) -> None:
    """The others are purged all the same."""
    run = await do(effect, order())
    (record,) = [path for path in hold(tree) if path.suffix == ".json"]
    aside = record.rename(record.with_suffix(".aside"))
    record.mkdir()
    await retention(tree, parser, KEEP + MARGIN).purge()
    record.rmdir()
    aside.rename(record)
    undone = await undo(effect, run.plan)
    assert sorted(undone.reasons) == ["", PURGED, PURGED]


class Unlisted(Maildirs):
    """Mailboxes that can't be listed the first time."""

    asked = 0

    async def addresses(self) -> Collection[str]:
        """Return every mailbox, from the second time on."""
        self.asked += 1
        if self.asked == 1:
            raise PermissionError
        return await super().addresses()


async def test_mailboxes_that_cannot_be_listed_now_are_purged_the_next_time(
    tree: MailTree, effect: SoftDeleteMessages, parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One failure does not end it for ever."""

    async def looked() -> list[bool]:
        return [path.suffix == ".purged" for path in hold(tree)]

    await do(effect, order())
    monkeypatch.setattr("quell_email.effects.retention.EVERY", timedelta(0))
    late = Retention(Unlisted(tree.pattern, Index(parser)), Later(KEEP + MARGIN), KEEP)
    running = asyncio.create_task(late.run())
    try:
        await eventually(looked, any)
    finally:
        running.cancel()
        await asyncio.wait([running])
