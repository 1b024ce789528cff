"""A conversation may break at any time: what has no acknowledgement is said again, what is known is answered again."""

import asyncio
import hashlib
import itertools
from datetime import timedelta

import pytest
from quell.executor.v1 import executor_service_pb2
from quell.remediation.v1 import outcome_pb2
from quell.warrant.v1 import effect_report_pb2, receipt_pb2

from kit_house import DEPLOYMENT, IDENTITY, Center, House, Wire, stored
from kit_world import content, quarantine
from quell_executor.transport import (
    CenterOutdatedError,
    DeploymentMismatchError,
    ProtocolUnsupportedError,
    StreamReplacedError,
)

BAD = content("bad")


async def test_the_executor_says_who_it_is_and_what_it_serves(house: House) -> None:
    """Identity key, version, kinds and window."""
    (hello,) = house.center.hellos
    assert (hello.version, hello.identity_key, hello.window) == (1, IDENTITY.public, 1000)
    assert [kind.name for kind in hello.kinds] == list(house.world.offers())


@pytest.mark.parametrize(
    ("first", "error"),
    [
        ({"hello": {"versions": [2], "deployment": DEPLOYMENT, "start": 9}}, ProtocolUnsupportedError),
        ({"stored": {"ids": []}}, ProtocolUnsupportedError),
        ({"hello": {"versions": [1], "deployment": "other", "start": 9}}, DeploymentMismatchError),
        ({"hello": {"versions": [1, 2], "deployment": DEPLOYMENT, "start": 0}}, CenterOutdatedError),
    ],
)
async def test_a_wrong_beginning_is_refused_and_replaces_nobody(
    house: House, first: dict[str, object], error: type[Exception]
) -> None:
    """And the conversation that is open goes on."""
    wire = Wire(Center(house.clock))
    wire.down.put_nowait(executor_service_pb2.WorkRequest(**first).SerializeToString())  # type: ignore[arg-type]
    with pytest.raises(error):
        await house.executor.serve(wire)
    house.world.files = {"/a": BAD}
    await house.carry_out(quarantine("/a"))


async def test_a_conversation_that_ends_without_a_word_is_no_error(house: House) -> None:
    """Somebody only knocked."""
    wire = Wire(Center(house.clock))
    wire.down.put_nowait(None)
    await house.executor.serve(wire)


async def test_a_newer_conversation_replaces_the_older(house: House) -> None:
    """The older is told so; a centre that started earlier is refused for good, also after a restart."""
    older = house.serving
    await house.connect()
    with pytest.raises(StreamReplacedError):
        await older
    await house.again()
    wire = Wire(Center(house.clock))
    hello = executor_service_pb2.CenterHello(versions=[1], deployment=DEPLOYMENT, start=1)
    wire.down.put_nowait(executor_service_pb2.WorkRequest(hello=hello).SerializeToString())
    with pytest.raises(CenterOutdatedError):
        await house.executor.serve(wire)


async def test_what_is_not_acknowledged_is_sent_again_on_a_new_stream(house: House) -> None:
    """The same ids, item chunks before their receipt; what is acknowledged is not sent again."""
    house.world.files = {"/a": BAD}
    receipt = await house.carry_out(quarantine("/a"))
    chunk = house.center.chunks[0]
    await house.again()
    await house.until(lambda: len(house.center.receipts) == 2)
    said = [message.WhichOneof("message") for message in house.center.messages]
    assert said[said.index("hello", 1) :][:3] == ["hello", "items", "receipts"]
    assert house.center.receipts[1].id == receipt.id
    house.say(stored=stored([receipt.id, chunk.id, *(report.id for report in house.center.reports)]))
    await house.quiet()
    await house.again()
    await house.quiet()
    assert len(house.center.receipts) == 2


async def test_a_hello_that_comes_again_begins_the_conversation_anew(house: House) -> None:
    """So a router's stream outlives the centre's: hello, and what is not stored, come again on it."""
    house.world.files = {"/a": BAD}
    receipt = await house.carry_out(quarantine("/a"))
    house.say(hello=executor_service_pb2.CenterHello(versions=[1], deployment=DEPLOYMENT, start=9))
    await house.until(lambda: len(house.center.receipts) == 2)
    assert house.center.receipts[1].id == receipt.id
    assert len(house.center.hellos) == 2
    house.say(hello=executor_service_pb2.CenterHello(versions=[1], deployment=DEPLOYMENT, start=8))
    with pytest.raises(CenterOutdatedError):
        await house.serving


async def test_a_warrant_that_comes_again_is_answered_again(house: House) -> None:
    """Accepted and receipt, also when that receipt is stored already; nothing is done again."""
    house.world.files = {"/a": BAD}
    warrant = house.center.warrant(quarantine("/a"))
    house.send(warrant)
    receipt = await house.receipt(warrant)
    house.say(stored=stored([receipt.id, house.center.chunks[0].id]))
    house.send(warrant, warrant)
    await house.until(lambda: len(house.center.receipts) == 2)
    await house.until(lambda: house.center.accepted == [warrant.action] * 3)
    assert len(house.center.of(warrant.action)) == 1
    assert house.world.changes == ["take /a"]


@pytest.mark.parametrize("when", ["before", "after"])
async def test_other_bytes_for_an_action_have_a_receipt_of_their_own_that_says_the_same(
    house: House, when: str
) -> None:
    """A centre restored from a copy seals anew: each body is answered by its own digest, the effect is made once."""
    house.world.files = {"/a": BAD}
    first = house.center.warrant(quarantine("/a"))
    second = house.center.warrant(quarantine("/a"), action=first.action, expires=timedelta(hours=2))
    if when == "before":
        house.world.gate.clear()
    house.send(first)
    await house.until(lambda: house.center.of(first.action) if when == "after" else house.center.accepted)
    house.send(second)
    await house.until(lambda: len(house.center.accepted) == 2)
    house.world.gate.set()
    await house.until(lambda: len(house.center.of(first.action)) == 2)
    receipts = house.center.of(first.action)
    digests = [hashlib.sha256(warrant.SerializeToString()).digest() for warrant in (first, second)]
    assert [receipt.warrant_digest for receipt in receipts] == digests
    assert receipts[0].outcome == receipts[1].outcome
    assert house.world.changes == ["take /a"]


async def test_an_effect_outlives_its_conversation(house: House) -> None:
    """Nobody listens any more: it goes on to its end, once."""
    house.world.files = {"/a": BAD}
    house.world.gate.clear()
    warrant = house.center.warrant(quarantine("/a"))
    house.send(warrant)
    await house.until(lambda: "kit.planned" in house.points)
    await house.hang_up()
    house.world.gate.set()
    await house.until(lambda: "kit.ended" in house.points)
    await house.connect()
    assert (await house.receipt(warrant)).outcome.effect == outcome_pb2.EFFECT_STATE_IN_FORCE
    assert house.world.changes == ["take /a"]


async def test_a_conversation_that_is_cut_while_a_warrant_is_written_loses_nothing(house: House) -> None:
    """A broken call cancels its handler: what is journaled is begun nevertheless, and answered on the next stream."""
    armed: list[bool] = []

    def cut(name: str) -> None:
        if armed and name == "journal.decided":
            armed.clear()
            house.serving.cancel()

    house.world.files = {"/a": BAD}
    await house.executor.stop()
    await house.move_in(cut)
    await house.connect()
    armed.append(True)
    warrant = house.center.warrant(quarantine("/a"))
    house.send(warrant)
    await house.until(lambda: "/a" not in house.world.files)
    await house.connect()
    await house.until(lambda: house.center.of(warrant.action))


async def test_a_broken_wire_ends_the_conversation_quietly(house: House) -> None:
    """What could not be sent is sent on the next one."""
    house.world.files = {"/a": BAD}
    house.wire.cut = True
    warrant = house.center.warrant(quarantine("/a"))
    house.send(warrant)
    await asyncio.wait_for(house.serving, 5)
    await house.connect()
    await house.receipt(warrant)


async def test_after_each_connect_what_is_in_force_is_reported_as_it_is(house: House) -> None:
    """PROBED while it holds; DRIFTED when the world has moved away; of what was taken back, that it is.

    That last one is for a centre that has started anew, and may have been restored from before.
    """
    house.world.files = {"/a": BAD, "/b": BAD, "/c": BAD}
    for path in ("/a", "/b", "/c"):
        warrant = house.center.warrant(quarantine(path), action=f"actions/{path[1] * 8}-0000-4000-8000-000000000000")
        house.send(warrant)
        await house.receipt(warrant)
    await house.carry_out(quarantine("/c"), undo_of=warrant.action)
    house.world.files["/b"] = BAD
    house.world.vault.popitem()
    await house.connect()
    await house.until(lambda: len(house.center.reports) == 3)
    seen = {report.action[8]: (report.event, report.effect) for report in house.center.reports}
    assert seen == {
        "a": (effect_report_pb2.EFFECT_EVENT_PROBED, outcome_pb2.EFFECT_STATE_IN_FORCE),
        "b": (effect_report_pb2.EFFECT_EVENT_DRIFTED, outcome_pb2.EFFECT_STATE_NOT_IN_FORCE),
        "c": (effect_report_pb2.EFFECT_EVENT_PROBED, outcome_pb2.EFFECT_STATE_NOT_IN_FORCE),
    }


async def test_what_was_let_go_is_told_once_a_start_and_not_while_a_newer_one_owns_it(house: House) -> None:
    """The same start again hears nothing of it; of what a newer action answers for, the older says nothing."""
    house.world.files = {"/a": BAD, "/b": BAD}
    gone = await house.carry_out(quarantine("/a"))
    await house.carry_out(quarantine("/a"), undo_of=gone.action)
    older = await house.carry_out(quarantine("/b"))
    newer = await house.carry_out(quarantine("/b"))
    assert list(newer.takes_over) == [older.action]
    for start, told in ((50, {gone.action, newer.action}), (50, {newer.action}), (51, {gone.action, newer.action})):
        house.center.reports.clear()
        house._starts = itertools.count(start)  # noqa: SLF001 - the house of these tests
        await house.connect()
        await house.until(lambda told=told: {report.action for report in house.center.reports} >= told)
        await house.quiet()
        assert {report.action for report in house.center.reports} == told
        house.say(stored=stored(report.id for report in house.center.reports))
        await house.quiet()


async def test_what_was_let_go_meanwhile_is_told_at_the_next_connect(house: House) -> None:
    """A restored centre that never knew of the undo would show the effect in force until the next start."""
    house.world.files = {"/a": BAD}
    gone = await house.carry_out(quarantine("/a"))
    house._starts = itertools.count(50)  # noqa: SLF001 - the house of these tests
    await house.connect()
    await house.until(lambda: [report.action for report in house.center.reports] == [gone.action])
    await house.carry_out(quarantine("/a"), undo_of=gone.action)
    house.center.reports.clear()
    house._starts = itertools.count(50)  # noqa: SLF001
    await house.connect()
    gone_now = (gone.action, outcome_pb2.EFFECT_STATE_NOT_IN_FORCE)
    await house.until(lambda: gone_now in [(report.action, report.effect) for report in house.center.reports])


@pytest.mark.parametrize("undone", [True, False])
async def test_an_old_receipt_that_goes_up_again_is_followed_by_what_is_so_now(house: House, *, undone: bool) -> None:
    """Other bytes came for what was undone since: their receipt says in force, and a report says that it is not."""
    house.world.files = {"/a": BAD}
    first = house.center.warrant(quarantine("/a"))
    house.send(first)
    await house.receipt(first)
    if undone:
        await house.carry_out(quarantine("/a"), undo_of=first.action)
    house.center.reports.clear()
    house.send(house.center.warrant(quarantine("/a"), action=first.action, expires=timedelta(hours=2)))
    await house.until(lambda: len(house.center.of(first.action)) == 2)
    await house.quiet()
    told = [(report.action, report.effect) for report in house.center.reports]
    assert told == ([(first.action, outcome_pb2.EFFECT_STATE_NOT_IN_FORCE)] if undone else [])


async def test_a_burst_goes_up_in_batches_under_one_seal(house: House) -> None:
    """Many receipts, few messages; none larger than 128 KiB, none of more than 256."""
    house.world.files = {f"/{number}": BAD for number in range(600)}
    warrants = [house.center.warrant(quarantine(f"/{number}")) for number in range(600)]
    for begin in range(0, 600, 200):
        house.send(*warrants[begin : begin + 200])
    await house.until(lambda: len(house.center.receipts) == 600, within=30)
    batches = [message.receipts for message in house.center.messages if message.HasField("receipts")]
    assert max(len(batch.receipts) for batch in batches) <= 256
    assert max(message.ByteSize() for message in house.center.messages) <= 128 << 10


async def test_with_a_full_disk_nothing_new_begins_but_what_lets_go_does(house: House) -> None:
    """A new effect is refused STORE_FULL, to be tried again; undo, its receipt and its report work."""
    house.world.files = {"/a": BAD, "/b": BAD}
    done = await house.carry_out(quarantine("/a"))
    house.room = 0
    refused = await house.carry_out(quarantine("/b"))
    assert refused.disposition == receipt_pb2.DISPOSITION_REFUSED
    assert (refused.failure.reason, refused.failure.retryable) == ("STORE_FULL", True)
    undone = await house.carry_out(quarantine("/a"), undo_of=done.action)
    assert undone.outcome.effect == outcome_pb2.EFFECT_STATE_IN_FORCE
    assert house.world.files == {"/a": BAD, "/b": BAD}
