"""Quarantined messages are out of their mailboxes and in the vault, and released exactly as they were or not at all."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from quell.remediation.v1 import email_pb2, target_pb2

from effect_runs import ACTION, CONFLICT, DONE, MISSING, PLANNED, REFUSED, Silent, do, undo
from mail_deaths import Crash, CrashError
from mail_tree import ATTACHMENT, CAMPAIGN, MailTree, sha256
from quarantine import KEEP, Quarantine, all_seen, quarantine, seen
from quell_email.domain.exclusions import Exclusions, Simulation
from quell_email.effects.choosing import Choosing
from quell_email.effects.quarantine_messages import KIND, QuarantineMessages
from quell_email.effects.soft_delete_messages import SoftDeleteMessages
from quell_email.maildir.backend import Maildirs
from quell_email.maildir.index import Index
from quell_email.parsing.parser import Parser
from quell_email.vault.records import KeptState
from quell_executor.contract import EffectContract, World
from quell_executor.effect import Plan, RefusedError
from quell_runtime.seams import moment, stamp

ALL = ("ann@example.org", "bob@example.org", "cleo@example.org")
DIGEST = sha256(CAMPAIGN)
OTHER = ACTION[:-1] + "2"


def cluster(**fields: object) -> email_pb2.QuarantineMessages:
    """Order a cluster into quarantine."""
    selector = target_pb2.MessageSelector(cluster=target_pb2.MessageCluster(**fields))  # type: ignore[arg-type]
    return email_pb2.QuarantineMessages(messages=selector)


def by_digest(mailbox: str = "", digest: str = DIGEST) -> email_pb2.QuarantineMessages:
    """Order one message into quarantine."""
    ref = target_pb2.MessageRef(mailbox=f"mailboxes/{mailbox}" if mailbox else "", sha256=digest)
    selector = target_pb2.MessageSelector(messages=target_pb2.MessageList(messages=[ref]))
    return email_pb2.QuarantineMessages(messages=selector)


CLUSTER = cluster(sender_domain="evil.example")


@pytest.fixture
async def house(tree: MailTree, parser: Parser, tmp_path: Path) -> AsyncIterator[Quarantine]:
    """Return the quarantine over the tree."""
    async with quarantine(Maildirs(tree.pattern, Index(parser)), parser, tmp_path / "vault") as found:
        yield found


@dataclass
class Campaign:
    """A campaign in three mailboxes."""

    tree: MailTree
    effect: QuarantineMessages
    order: email_pb2.QuarantineMessages

    async def look(self) -> object:
        """Return what the users see."""
        return all_seen(self.tree)

    async def disturb(self) -> None:
        """Remove a folder that a message came from, as its user would."""
        work = self.tree.root("cleo@example.org") / ".Work.2026"
        work.rename(work.with_name(".Done.2026"))


class TestQuarantineMessages(EffectContract):
    """Every check of the suite, over real trees and a real vault."""

    @pytest.fixture
    def world(self, tree: MailTree, house: Quarantine) -> World:
        """Make the world of one check."""
        return Campaign(tree, house.effect, CLUSTER)


def campaign_gone(tree: MailTree, before: dict[str, object]) -> bool:
    """Tell whether every mailbox is as it was without the campaign, ordinary mail untouched."""
    for path in tree.base.iterdir():
        for raw, *_ in tree.photograph(path.name).messages.values():
            if raw == CAMPAIGN:
                return False
    return all(seen(tree, address) <= before[address] for address in before)  # type: ignore[operator]


async def test_a_cluster_leaves_all_mailboxes_and_lies_in_the_vault(tree: MailTree, house: Quarantine) -> None:
    """The campaign is in no mailbox, nor anywhere on the disk in the clear; the vault gives it, once for three."""
    before = all_seen(tree)
    run = await do(house.effect, CLUSTER)
    assert (run.before, run.after) == ([PLANNED] * 3, [DONE] * 3)
    assert campaign_gone(tree, dict(before))
    assert await house.vault.get(DIGEST) == CAMPAIGN
    vault = tree.base.parent / "vault"
    assert [path.name for path in (vault / "contents").iterdir()] == [DIGEST]
    for path in (*tree.base.parent.rglob("*"),):
        assert not path.is_file() or b"I am no PDF" not in path.read_bytes()
    records = await house.vault.held(KIND)
    assert [(record.mailbox, record.action, record.state) for record in records] == [
        (address, ACTION, KeptState.HELD) for address in ALL
    ]
    assert {record.purge_time for record in records} == {house.clock.now() + KEEP}


async def test_control_with_the_effect_off_the_same_check_fails(tree: MailTree, house: Quarantine) -> None:
    """A plan alone changes nothing, and the check of the test above sees that."""
    before = all_seen(tree)
    plan = await house.effect.plan(CLUSTER, None)
    assert len(plan.items) == 3
    assert not campaign_gone(tree, dict(before))
    assert await house.vault.held(KIND) == []


async def test_released_to_some_and_then_to_all(tree: MailTree, house: Quarantine) -> None:
    """Each mailbox is exactly as before once it is released; the others still have nothing. Twice is done."""
    before = all_seen(tree)
    run = await do(house.effect, CLUSTER)
    bob = replace(run.plan, items=run.plan.items[1:2])
    assert (await undo(house.effect, bob)).after == [DONE]
    assert seen(tree, ALL[1]) == before[ALL[1]]
    assert seen(tree, ALL[0]) != before[ALL[0]]
    again = await undo(house.effect, run.plan)
    assert (again.before, again.after) == ([PLANNED, DONE, PLANNED], [DONE] * 3)
    assert all_seen(tree) == before
    assert [record.state for record in await house.vault.of(KIND, [item.key for item in run.plan.items])] == [
        KeptState.RELEASED
    ] * 3
    assert list((tree.base.parent / "vault/contents").iterdir()) == []


async def test_quarantined_twice_is_not_needed(tree: MailTree, house: Quarantine) -> None:
    """A second order, by another name, finds them in the vault; it can give them back as well."""
    before = all_seen(tree)
    await do(house.effect, CLUSTER)
    for order in (CLUSTER, by_digest(), by_digest(ALL[1]), cluster(url="https://evil.example/login?u=1&x=2")):
        second = await do(house.effect, order, action=OTHER)
        assert set(second.before) == {DONE}
    assert (await undo(house.effect, (await do(house.effect, CLUSTER, action=OTHER)).plan)).after == [DONE] * 3
    assert all_seen(tree) == before


@pytest.mark.parametrize(
    ("order", "count"),
    [
        (cluster(subject="your salary €"), 3),
        (cluster(subject="lunch 1"), 0),
        (cluster(attachment_sha256=ATTACHMENT), 3),
        (cluster(attachment_sha256=sha256(b"another")), 0),
        (cluster(sender="pay@mail.evil.example", mailboxes=["mailboxes/Ann@Example.org"]), 1),
        (cluster(sender_domain="evil.example", end_time=stamp(moment(1_763_288_000_000_000))), 2),
        (by_digest("bob@example.org"), 1),
        (by_digest("bob@example.org", sha256(b"no")), 0),
    ],
)
async def test_what_the_vault_has_is_found_by_what_is_asked(
    house: Quarantine, order: email_pb2.QuarantineMessages, count: int
) -> None:
    """As in the mailboxes: each way of telling messages finds those, and they are done."""
    await do(house.effect, CLUSTER)
    plan = await house.effect.plan(order, None)
    assert [finding.state for finding in await house.effect.probe(plan)].count(DONE) == count


async def test_what_was_purged_is_never_what_was_released(tree: MailTree, house: Quarantine) -> None:
    """After its time it is gone for good; undo says so, for ever, and what was released says nothing of the kind."""
    run = await do(house.effect, CLUSTER)
    assert (await undo(house.effect, replace(run.plan, items=run.plan.items[:1]))).after == [DONE]
    house.clock.advance(KEEP - timedelta(seconds=1))
    assert await house.vault.purge() == 0
    house.clock.advance(timedelta(seconds=1))
    assert await house.vault.purge() == 2
    for path in tree.root(ALL[0]).rglob("*.quell*"):
        path.unlink()
    found = await undo(house.effect, run.plan)
    assert (found.after, found.reasons) == ([MISSING] * 3, ["", "MESSAGE_PURGED", "MESSAGE_PURGED"])
    assert [finding.state for finding in await house.effect.probe(run.plan)] == [MISSING, DONE, DONE]
    assert list((tree.base.parent / "vault/contents").iterdir()) == []


async def test_an_order_says_when_they_are_purged(house: Quarantine) -> None:
    """Its own time counts, to the microsecond; one that is over is refused."""
    soon = house.clock.now() + timedelta(days=2)
    order = email_pb2.QuarantineMessages(messages=CLUSTER.messages, purge_time=stamp(soon))
    await do(house.effect, order)
    assert {record.purge_time for record in await house.vault.held(KIND)} == {soon}
    house.clock.advance(timedelta(days=2))
    with pytest.raises(RefusedError, match="PURGE_TIME_PAST"):
        await house.effect.plan(order, None)


async def test_several_copies_go_and_come_back_each_to_its_place(tree: MailTree, house: Quarantine) -> None:
    """The same bytes in three folders, with other flags and dates; also what came after the first was taken."""
    tree.deliver(ALL[0], CAMPAIGN, folder="Archive", flags="R", base="5.more", mtime=1_700_000_000.5)
    tree.deliver(ALL[0], CAMPAIGN, folder="Archive", flags="F", base="6.more", mtime=1_700_000_001.5)
    before = all_seen(tree)
    await do(house.effect, CLUSTER)
    tree.deliver(ALL[0], CAMPAIGN, folder="Archive", flags="", base="7.late", mtime=1_700_000_002.5)
    late = seen(tree, ALL[0]) - before[ALL[0]]
    second = await do(house.effect, CLUSTER, action=OTHER)
    assert second.before == [PLANNED, DONE, DONE]
    assert (await undo(house.effect, second.plan)).after == [DONE] * 3
    assert all_seen(tree) == {**before, ALL[0]: before[ALL[0]] + late}


async def test_a_lost_content_is_a_conflict(tree: MailTree, house: Quarantine) -> None:
    """What the vault can't give is not called released."""
    run = await do(house.effect, CLUSTER)
    (tree.base.parent / "vault/contents" / DIGEST).unlink()
    found = await undo(house.effect, run.plan)
    assert (found.after, found.reasons) == ([CONFLICT] * 3, ["CONTENT_LOST"] * 3)


async def test_a_changed_content_is_never_given_out(tree: MailTree, house: Quarantine) -> None:
    """It does not open, so nothing is put into a mailbox, and the message stays where it is kept."""
    before = all_seen(tree)
    run = await do(house.effect, CLUSTER)
    gone = all_seen(tree)
    locked = tree.base.parent / "vault/contents" / DIGEST
    whole = locked.read_bytes()
    locked.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert (await undo(house.effect, run.plan)).after == [PLANNED] * 3
    assert all_seen(tree) == gone
    locked.write_bytes(whole)
    assert (await undo(house.effect, run.plan)).after == [DONE] * 3
    assert all_seen(tree) == before


async def test_what_is_soft_deleted_is_refused_and_the_other_way_round(
    house: Quarantine, effect: SoftDeleteMessages
) -> None:
    """Neither takes from the other's keeping."""
    soft = email_pb2.SoftDeleteMessages(messages=CLUSTER.messages)
    deleted = await do(effect, soft)
    run = await do(house.effect, CLUSTER)
    assert (run.after, set(run.reasons)) == ([REFUSED] * 3, {"MESSAGE_SOFT_DELETED"})
    await undo(effect, deleted.plan)
    assert (await do(house.effect, CLUSTER)).after == [DONE] * 3
    assert (await do(effect, soft)).plan.items == ()


EXCLUDED = Exclusions(
    frozenset({ALL[0]}), (Simulation("evil.example", (ip_network("203.0.113.0/24"), ip_network("2001:db8::/32"))),)
)


@pytest.fixture(params=["quarantine", "soft_delete"])
def kind(request: pytest.FixtureRequest) -> str:
    """Return each kind that takes messages."""
    return str(request.param)


@pytest.mark.parametrize(
    ("exclusions", "reasons", "noted"),
    [
        (Exclusions(frozenset({ALL[0]})), ["EXCLUDED_MAILBOX", "", ""], "1 of these will be left alone"),
        (EXCLUDED, ["EXCLUDED_MAILBOX", "EXCLUDED_SIMULATION", "EXCLUDED_SIMULATION"], "2 of these"),
        (Exclusions(simulations=(Simulation("evil.example", (ip_network("198.51.100.0/24"),)),)), [""] * 3, ""),
        (Exclusions(simulations=(Simulation("vil.example", (ip_network("0.0.0.0/0"),)),)), [""] * 3, ""),
        (Exclusions(simulations=(Simulation("PAY@mail.evil.example", (ip_network("0.0.0.0/0"),)),)), ["S"] * 3, "3"),
    ],
)
async def test_what_is_excluded_is_left_alone_and_said_so(
    tree: MailTree, house: Quarantine, kind: str, exclusions: Exclusions, reasons: list[str], noted: str
) -> None:
    """A mailbox, and what a simulation sent from its own networks: a forged From alone excludes nothing."""
    reasons = ["EXCLUDED_SIMULATION" if reason == "S" else reason for reason in reasons]
    before = all_seen(tree)
    choosing = Choosing(house.mailboxes, exclusions)
    if kind == "quarantine":
        run = await do(QuarantineMessages(house.effect.taking, choosing, house.clock, KEEP), CLUSTER)
    else:
        order = email_pb2.SoftDeleteMessages(messages=CLUSTER.messages)
        run = await do(SoftDeleteMessages(house.mailboxes, choosing), order)
    assert run.reasons == reasons
    assert run.after == [REFUSED if reason else DONE for reason in reasons]
    assert (not noted and not run.plan.notes) or noted in " ".join(run.plan.notes)
    assert [seen(tree, address) == before[address] for address in ALL] == [bool(reason) for reason in reasons]


async def test_marks_alone_give_each_back_exactly(tree: MailTree, house: Quarantine) -> None:
    """One a message: who took it, what would take it, and an item that undo gives back with."""
    before = all_seen(tree)
    assert await house.effect.marks() == []
    run = await do(house.effect, CLUSTER)
    marks = await house.effect.marks()
    assert [mark.item.key for mark in marks] == [item.key for item in run.plan.items]
    assert {mark.action for mark in marks} == {ACTION}
    again = [await house.effect.plan(mark.remediation.quarantine_messages, None) for mark in marks]
    assert [item.key for plan in again for item in plan.items] == [mark.item.key for mark in marks]
    plan = Plan(tuple(mark.item for mark in marks), frozenset(), action=ACTION)
    assert [finding.state for finding in await house.effect.probe(plan)] == [DONE] * 3
    assert (await undo(house.effect, plan)).after == [DONE] * 3
    assert all_seen(tree) == before
    assert await house.effect.marks() == []


POINTS = [
    ("vault.written", 1),
    ("quarantine.stored", 1),
    ("quarantine.kept", 1),
    ("maildir.removed", 1),
    ("maildir.removed", 2),
    ("quarantine.removed", 1),
]
BACK = [("maildir.added", 1), ("maildir.added", 2), ("quarantine.added", 1)]


@pytest.fixture
def twins(tree: MailTree) -> MailTree:
    """Return a tree with two copies of the campaign in one mailbox."""
    tree.deliver(ALL[0], CAMPAIGN, folder="Archive", flags="R", base="5.more", mtime=1_700_000_000.5)
    return tree


@pytest.mark.parametrize(("place", "time"), POINTS)
@pytest.mark.parametrize("moved", [False, True])
async def test_a_crash_while_taking_loses_and_doubles_nothing(
    twins: MailTree,
    parser: Parser,
    tmp_path: Path,
    place: str,
    time: int,
    moved: bool,  # noqa: FBT001 - a case
) -> None:
    """At each step; then its user flags what is left, the whole is done again, and released: all copies, each once."""
    before = all_seen(twins)
    mailboxes = Maildirs(twins.pattern, Index(parser), dying := Crash(time, place))
    order = by_digest(ALL[0])
    with pytest.raises(CrashError):
        async with quarantine(mailboxes, parser, tmp_path / "vault", point=dying) as house:
            await do(house.effect, order)
    gone = before[ALL[0]] - seen(twins, ALL[0])
    if moved:
        for path in twins.root(ALL[0]).rglob("5.more:2,R"):
            path.rename(path.with_name("5.more:2,RS"))
    left = seen(twins, ALL[0])
    async with quarantine(Maildirs(twins.pattern, Index(parser)), parser, tmp_path / "vault") as house:
        run = await do(house.effect, order)
        assert run.after == [DONE]
        assert (await undo(house.effect, run.plan)).after == [DONE]
    assert all_seen(twins) == {**before, ALL[0]: left + gone}


@pytest.mark.parametrize(("place", "time"), BACK)
async def test_a_crash_while_giving_back_loses_and_doubles_nothing(
    twins: MailTree, parser: Parser, tmp_path: Path, place: str, time: int
) -> None:
    """At each step: done again, all copies are there, each once."""
    before = all_seen(twins)
    async with quarantine(Maildirs(twins.pattern, Index(parser)), parser, tmp_path / "vault") as house:
        run = await do(house.effect, by_digest(ALL[0]))
    mailboxes = Maildirs(twins.pattern, Index(parser), dying := Crash(time, place))
    with pytest.raises(CrashError):
        async with quarantine(mailboxes, parser, tmp_path / "vault", point=dying) as house:
            await undo(house.effect, run.plan)
    async with quarantine(Maildirs(twins.pattern, Index(parser)), parser, tmp_path / "vault") as house:
        assert (await undo(house.effect, run.plan)).after == [DONE]
        assert await house.vault.held(KIND) == []
    assert all_seen(twins) == before


async def test_what_cant_be_read_is_refused_and_stays(tree: MailTree, house: Quarantine) -> None:
    """Nobody can tell whether it is meant; by its digest it can be taken, and comes back."""
    bomb = b"X: " + b"a" * (2 << 20) + b"\r\n\r\nbody"
    tree.deliver(ALL[0], bomb, base="9.bomb")
    before = all_seen(tree)
    run = await do(house.effect, CLUSTER)
    assert "MESSAGE_UNPARSABLE" in run.reasons
    taken = await do(house.effect, by_digest(ALL[0], sha256(bomb)))
    assert taken.after == [DONE]
    assert await house.vault.get(sha256(bomb)) == bomb
    await undo(house.effect, run.plan)
    assert (await undo(house.effect, taken.plan)).after == [DONE]
    assert all_seen(tree) == before


async def test_what_is_on_no_list_is_not_taken(tree: MailTree, house: Quarantine) -> None:
    """A newcomer after the preview stays, what was moved is found again by its digest."""
    listed = [item.item for item in (await house.effect.plan(CLUSTER, None)).items]
    tree.deliver(ALL[1], CAMPAIGN + b"later", base="8.later")
    old = tree.root(ALL[0]) / "new/1.camp"
    old.rename(tree.folder(ALL[0], "Archive") / "cur/1.camp:2,S")
    run = await do(house.effect, CLUSTER, listed)
    assert run.after == [DONE] * 3
    assert sha256(CAMPAIGN + b"later") in {sha256(raw) for raw, *_ in tree.photograph(ALL[1]).messages.values()}


async def test_progress_is_told(house: Quarantine) -> None:
    """In messages and percent."""
    told: list[tuple[str, int | None]] = []

    class Heard(Silent):
        def report(self, message: str, *, percent: int | None = None) -> None:
            told.append((message, percent))

    plan = replace(await house.effect.plan(CLUSTER, None), action=ACTION)
    await house.effect.apply(plan, Heard())
    assert told[-1] == ("3 of 3 messages", 100)
