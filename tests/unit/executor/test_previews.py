"""What would be done? The answer changes nothing, and what was approved is what is acted on."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from quell.executor.v1 import plan_pb2
from quell.remediation.v1 import email_pb2, item_pb2, outcome_pb2, remediation_pb2

from kit_house import IDENTITY, START, House
from kit_world import Quarantine, content, quarantine, scan
from quell_executor.effect import Plan, PlannedItem, RefusedError
from quell_executor.executor import Executor
from quell_executor.settings import Seams
from quell_runtime.seams import stamp

BAD = content("bad")
QUERY = "00000000-0000-4000-8000-000000000001"


class Mails(Quarantine):
    """A kind whose target is a cluster, over the same files."""

    async def plan(self, order: email_pb2.SoftDeleteMessages, within: Sequence[item_pb2.Item] | None) -> Plan:  # type: ignore[override]
        """Find every file, or those within."""
        if order.messages.cluster.subject == "protected":
            raise RefusedError("PROTECTED", "not this")
        paths = sorted(self.world.files) if within is None else [item.file.path for item in within]
        items = [self.item(path) for path in paths]
        return Plan(tuple(items), frozenset({"email.query:all"}), notes=("it can't be seen",))

    def item(self, path: str) -> PlannedItem:
        """Return a file as an item."""
        item = item_pb2.Item(file=item_pb2.FileItem(path=path))
        return PlannedItem(f"file:{path}", item, self.world.files.get(path, "").encode())


def cluster(subject: str = "win") -> remediation_pb2.Remediation:
    """Order what a query finds."""
    found = remediation_pb2.Remediation(soft_delete_messages=email_pb2.SoftDeleteMessages())
    found.soft_delete_messages.messages.cluster.subject = subject
    return found


@pytest.fixture
async def mails(tmp_path: Path) -> AsyncIterator[House]:
    """Return a house that also serves a cluster kind."""
    house = House(tmp_path)
    house.more["soft_delete_messages"] = Mails(house.world)
    await house.move_in()
    await house.connect()
    yield house
    await house.crash()


async def ask(
    house: House, remediation: remediation_pb2.Remediation, undo_of: str = "", beyond: Sequence[bytes] = ()
) -> list[plan_pb2.PlanAnswer]:
    """Ask, and return the answers up to the last."""
    house.center.plans.clear()
    keep = stamp(START + timedelta(hours=1))
    query = plan_pb2.PlanQuery(id=QUERY, remediation=remediation, undo_of=undo_of, keep_time=keep, beyond=beyond)
    house.say(plan=query)
    await house.until(lambda: house.center.plans and house.center.plans[-1].WhichOneof("end"))
    return house.center.plans


async def test_a_preview_shows_the_items_and_changes_nothing(house: House) -> None:
    """Summary and items; the files stay."""
    house.world.files = {"/a": BAD, "/b": BAD}
    items, end = await ask(house, quarantine(name="bad"))
    assert [item.file.path for item in items.items] == ["/a", "/b"]
    assert (end.summary.item_count, end.summary.snapshot_digest) == (2, b"")
    assert house.world.changes == []


async def test_long_answers_come_in_several(house: House) -> None:
    """At most 500 items each."""
    house.world.files = {f"/{number}": BAD for number in range(1100)}
    answers = await ask(house, quarantine(name="bad"))
    assert [len(answer.items) for answer in answers] == [500, 500, 100, 0]
    assert answers[-1].summary.item_count == 1100


async def test_a_kind_that_only_reads_has_nothing_to_show(house: House) -> None:
    """It can be done; that is all."""
    assert (await ask(house, scan()))[0].summary.item_count == 0


async def test_an_undo_is_planned_from_the_journal(house: House) -> None:
    """Its items are what the action changed; of an unknown one the journal is lost."""
    house.world.files = {"/a": BAD}
    done = await house.carry_out(quarantine("/a"))
    items, _ = await ask(house, quarantine("/a"), undo_of=done.action)
    assert [item.file.path for item in items.items] == ["/a"]
    (lost,) = await ask(house, quarantine("/a"), undo_of=f"actions/{QUERY}")
    assert lost.failure.reason == "JOURNAL_LOST"
    assert house.world.changes == ["take /a"]


async def test_what_can_not_be_done_says_why(mails: House) -> None:
    """A refusal of the effect, and a kind that isn't served."""
    (refused,) = await ask(mails, cluster("protected"))
    assert refused.failure.reason == "PROTECTED"
    (lacking,) = await ask(mails, remediation_pb2.Remediation(unblock_url=email_pb2.UnblockUrl(pattern="a.example")))
    assert lacking.failure.reason == "EXECUTOR_LACKS_KIND"
    mails.world.files = {"/a": BAD}
    mails.world.blind = True
    assert (await ask(mails, quarantine("/a")))[-1].summary.item_count == 1


async def test_a_cluster_is_acted_on_as_it_was_approved(mails: House) -> None:
    """The snapshot's digest names it; what arrived later is left alone; its notes are shown."""
    mails.world.files = {"/a": BAD, "/b": BAD}
    end = (await ask(mails, cluster()))[-1]
    assert (end.summary.item_count, list(end.summary.notes)) == (2, ["it can't be seen"])
    mails.world.files["/c"] = BAD
    await mails.again()
    receipt = await mails.carry_out(cluster(), snapshot_digest=end.summary.snapshot_digest, snapshot_count=2)
    assert receipt.outcome.effect == outcome_pb2.EFFECT_STATE_IN_FORCE
    assert mails.world.files == {"/c": BAD}


async def test_newcomers_alone_are_a_list_of_their_own(mails: House) -> None:
    """What stands on older lists is left out, though it is gone by now; an older list that is lost is said so."""
    mails.world.files = {"/a": BAD, "/b": BAD}
    older = (await ask(mails, cluster()))[-1].summary.snapshot_digest
    mails.world.files = {"/b": BAD, "/c": BAD}
    items, end = await ask(mails, cluster(), beyond=[older])
    assert [item.file.path for item in items.items] == ["/c"]
    assert end.summary.item_count == 1
    await mails.carry_out(cluster(), snapshot_digest=end.summary.snapshot_digest, snapshot_count=1)
    assert mails.world.files == {"/b": BAD}
    (lost,) = await ask(mails, cluster(), beyond=[bytes(32)])
    assert lost.failure.reason == "SNAPSHOT_LOST"


async def test_a_snapshot_that_is_no_more_is_lost(mails: House) -> None:
    """Nothing is guessed in its place."""
    mails.world.files = {"/a": BAD}
    digest = hashlib.sha256(b"never seen").digest()
    receipt = await mails.carry_out(cluster(), snapshot_digest=digest)
    assert (receipt.failure.reason, receipt.failure.retryable) == ("SNAPSHOT_LOST", True)
    assert mails.world.files == {"/a": BAD}


async def test_snapshots_are_kept_while_an_action_needs_them_and_then_forgotten(mails: House) -> None:
    """Past its time one goes, but not while an action that names it has not ended."""
    mails.world.files = {"/a": BAD}
    needed = (await ask(mails, cluster()))[-1].summary.snapshot_digest
    mails.world.files["/b"] = BAD
    unneeded = (await ask(mails, cluster()))[-1].summary.snapshot_digest
    await mails.freeze(1)
    waits = mails.center.warrant(cluster(), snapshot_digest=needed, expires=timedelta(days=9))
    mails.send(waits)
    await mails.until(lambda: mails.center.accepted)
    mails.clock.advance(timedelta(days=1))
    mails.world.files["/c"] = BAD
    await ask(mails, cluster())
    await mails.freeze(2, frozen=False)
    assert (await mails.receipt(waits)).outcome.effect == outcome_pb2.EFFECT_STATE_IN_FORCE
    lost = await mails.carry_out(cluster(), snapshot_digest=unneeded)
    assert lost.failure.reason == "SNAPSHOT_LOST"


async def test_a_snapshot_that_has_no_room_is_said_so(mails: House) -> None:
    """It may be asked again when there is."""
    mails.world.files = {"/a": BAD}
    mails.room = 0
    (full,) = await ask(mails, cluster())
    assert (full.failure.reason, full.failure.retryable) == ("STORE_FULL", True)


async def test_a_release_is_not_offered_without_what_it_releases(mails: House) -> None:
    """It could take nothing back."""
    offers = {"release_from_quarantine": mails.offers()["release_from_quarantine"]}
    with pytest.raises(ValueError, match="release_from_quarantine"):
        Executor(mails.settings, IDENTITY, offers, mails.store, Seams())


async def test_a_plan_with_one_key_twice_is_refused(mails: House) -> None:
    """Of two items under one key only one could be put back."""

    class Twice(Mails):
        async def plan(self, order: email_pb2.SoftDeleteMessages, within: Sequence[item_pb2.Item] | None) -> Plan:  # type: ignore[override]
            plan = await super().plan(order, within)
            return replace(plan, items=plan.items * 2)

    mails.world.files = {"/a": BAD}
    mails.more["soft_delete_messages"] = Twice(mails.world)
    await mails.again()
    assert (await ask(mails, cluster()))[0].failure.reason == "PLAN_FAILED"
