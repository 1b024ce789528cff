"""A warrant becomes a receipt that says what was found and done, and nothing better."""

import asyncio
from datetime import timedelta

import pytest
from quell.remediation.v1 import item_pb2, outcome_pb2
from quell.warrant.v1 import receipt_pb2

from kit_house import House
from kit_world import Scan, content, give_back, quarantine, scan

CARRIED_OUT = receipt_pb2.DISPOSITION_CARRIED_OUT
REFUSED = receipt_pb2.DISPOSITION_REFUSED


async def test_what_is_ordered_is_done_and_seen(house: House) -> None:
    """Files go into the vault; accepted, item outcomes and receipt come in that order, and the counts add up."""
    house.world.files = {"/a": content("bad"), "/b": content("bad"), "/c": content("good")}
    warrant = house.center.warrant(quarantine(name="bad"))
    house.send(warrant)
    receipt = await house.receipt(warrant)
    assert house.world.files == {"/c": content("good")}
    assert receipt.disposition == CARRIED_OUT
    assert receipt.outcome.effect == outcome_pb2.EFFECT_STATE_IN_FORCE
    assert receipt.outcome.undo == outcome_pb2.UNDO_STATE_POSSIBLE
    assert (receipt.outcome.items.total_items, receipt.outcome.items.done_items) == (2, 2)
    assert [outcome.item.file.path for outcome in house.center.items(warrant.action)] == ["/a", "/b"]
    said = [message.WhichOneof("message") for message in house.center.messages]
    assert said == ["hello", "accepted", "items", "receipts"]


async def test_an_effect_that_says_done_and_does_nothing_is_not_in_force(house: House) -> None:
    """Control of all others: the receipt is made from the probe, not from what apply says."""
    house.world.files = {"/a": content("bad")}
    house.world.lying = True
    receipt = await house.carry_out(quarantine("/a"))
    assert receipt.outcome.effect == outcome_pb2.EFFECT_STATE_NOT_IN_FORCE
    assert receipt.failure.reason == "EFFECT_NOT_OBSERVED"
    assert receipt.outcome.undo == outcome_pb2.UNDO_STATE_UNSPECIFIED


async def test_what_is_so_already_is_not_needed(house: House) -> None:
    """A second equal order changes nothing, takes over the first, and is ALREADY_IN_FORCE."""
    house.world.files = {"/a": content("bad")}
    first = await house.carry_out(quarantine("/a"))
    second = await house.carry_out(quarantine(name="bad"))
    assert second.outcome.effect == outcome_pb2.EFFECT_STATE_ALREADY_IN_FORCE
    assert second.outcome.items.unneeded_items == 1
    assert list(second.takes_over) == [first.action]
    assert second.outcome.undo == outcome_pb2.UNDO_STATE_POSSIBLE
    assert house.world.changes == ["take /a"]


async def test_nothing_to_act_on_is_target_gone(house: House) -> None:
    """A target that is no more is no failure."""
    receipt = await house.carry_out(quarantine("/nowhere"))
    assert receipt.outcome.effect == outcome_pb2.EFFECT_STATE_TARGET_GONE
    assert receipt.outcome.undo == outcome_pb2.UNDO_STATE_UNSPECIFIED


async def test_a_probe_that_can_not_tell_is_unknown(house: House) -> None:
    """What can't be looked at is never said to be so."""
    house.world.files = {"/a": content("bad")}

    def blind(_change: str) -> None:
        house.world.blind = True

    house.world.before_each = blind
    receipt = await house.carry_out(quarantine("/a"))
    assert receipt.disposition == CARRIED_OUT
    assert receipt.outcome.effect == outcome_pb2.EFFECT_STATE_UNKNOWN


async def test_a_plan_that_fails_changes_nothing(house: House) -> None:
    """An effect that can't even plan is refused, without the text of its exception."""
    house.world.files = {"/a": content("bad")}
    house.world.blind = True
    receipt = await house.carry_out(quarantine("/a"))
    assert (receipt.disposition, receipt.failure.reason, receipt.failure.message) == (
        REFUSED,
        "PLAN_FAILED",
        "see its log",
    )
    assert house.world.changes == []


async def test_many_items_go_up_in_chunks_before_their_receipt(house: House) -> None:
    """Chunks of at most 500 items and 120,000 bytes; count and digest in the receipt hold."""
    house.world.files = {f"/{number:04}{'x' * 200}": content("bad") for number in range(1200)}
    receipt = await house.carry_out(quarantine(name="bad"))
    assert receipt.outcome.items.done_items == 1200
    assert len(house.center.items(receipt.action)) == 1200
    assert max(len(chunk.body) for chunk in house.center.chunks) <= 120_000
    assert receipt.item_chunks >= 3


async def test_more_items_than_were_approved_are_refused(house: House) -> None:
    """A cap binds, and nothing is changed."""
    house.world.files = {"/a": content("bad"), "/b": content("bad")}
    receipt = await house.carry_out(quarantine(name="bad"), max_items=1)
    assert (receipt.disposition, receipt.failure.reason) == (REFUSED, "TOO_MANY_ITEMS")
    assert house.world.changes == []


async def test_progress_is_told_of_what_takes_long_and_of_nothing_else(house: House) -> None:
    """Before 200 ms nothing; after it the newest, though the effect said it earlier."""
    house.world.files = {"/a": content("bad"), "/b": content("bad")}
    await house.carry_out(quarantine("/a"))
    assert house.center.progress == []
    house.world.gate.clear()
    warrant = house.center.warrant(quarantine("/b"))
    house.send(warrant)
    await house.until(lambda: house.center.progress)
    assert house.center.progress[0].action == warrant.action
    house.world.gate.set()
    await house.receipt(warrant)


async def test_readings_of_one_kind_come_one_after_the_other_and_bring_what_they_found(house: House) -> None:
    """Three scans: one at a time, each with its findings, and told its bare id; nothing was changed."""
    house.world.files = {"/a": content("bad"), "/c": content("good")}
    house.world.gate.clear()
    warrants = [house.center.warrant(scan()) for _ in range(3)]
    house.send(*warrants)
    await house.until(lambda: len(house.center.accepted) == 3)
    house.world.gate.set()
    receipts = [await house.receipt(warrant) for warrant in warrants]
    assert {receipt.outcome.effect for receipt in receipts} == {outcome_pb2.EFFECT_STATE_IN_FORCE}
    assert receipts[0].outcome.scan.scanned_files == 2
    assert [outcome.item.finding.file.path for outcome in house.center.items(warrants[0].action)] == ["/a"]
    scanner = house.executor._kit.offers["run_antivirus_scan"]  # noqa: SLF001 - how many at once is seen only there
    assert isinstance(scanner, Scan)
    assert scanner.most == 1
    assert scanner.actions == [warrant.action.removeprefix("actions/") for warrant in warrants]


async def test_a_scan_that_finds_nothing_was_carried_out(house: House) -> None:
    """Nothing found is as good as something found."""
    receipt = await house.carry_out(scan())
    assert receipt.outcome.effect == outcome_pb2.EFFECT_STATE_IN_FORCE


async def test_a_release_overtakes_a_scan(house: House) -> None:
    """What lets go never waits for what only reads."""
    house.world.files = {"/a": content("bad")}
    await house.carry_out(quarantine("/a"))
    house.world.gate.clear()
    slow = house.center.warrant(scan())
    house.send(slow)
    await house.until(lambda: slow.action in house.center.accepted)
    house.world.gate.set()
    released = house.center.warrant(give_back("bad"))
    house.send(released)
    assert (await house.receipt(released)).outcome.effect == outcome_pb2.EFFECT_STATE_IN_FORCE


@pytest.mark.parametrize("moment", ["accepted", "begun"])
async def test_a_cancel_stops_what_it_can(house: House, moment: str) -> None:
    """Not begun: CANCELED, nothing changed. Begun: stopped between two changes; the receipt says how far it came."""
    house.world.files = {"/a": content("bad"), "/b": content("bad")}
    taken = asyncio.Event()

    def stop_after_the_first(change: str) -> None:
        if change == "take /a":
            house.world.gate.clear()
            taken.set()

    if moment == "accepted":
        await house.freeze(1)
    else:
        house.world.before_each = stop_after_the_first
    warrant = house.center.warrant(quarantine(name="bad"))
    house.send(warrant)
    await house.until(lambda: warrant.action in house.center.accepted and (moment == "accepted" or taken.is_set()))
    await house.quiet()
    house.say(cancels={"actions": [warrant.action]})
    receipt = await house.receipt(warrant)
    if moment == "accepted":
        assert receipt.disposition == receipt_pb2.DISPOSITION_CANCELED
        assert not receipt.HasField("outcome")
        assert house.world.changes == []
    else:
        assert receipt.disposition == receipt_pb2.DISPOSITION_STOPPED
        assert receipt.outcome.effect == outcome_pb2.EFFECT_STATE_PARTLY_IN_FORCE
        states = [outcome.state for outcome in house.center.items(warrant.action)]
        assert states == [item_pb2.ITEM_STATE_DONE, item_pb2.ITEM_STATE_FAILED]
        assert receipt.failure.reason == "STOPPED"
        assert house.world.changes == ["take /a"]


async def test_a_cancelled_scan_is_stopped(house: House) -> None:
    """It only reads, so nothing is left of it."""
    house.world.gate.clear()
    warrant = house.center.warrant(scan())
    house.send(warrant)
    await house.until(lambda: warrant.action in house.center.accepted)
    await house.quiet()
    house.say(cancels={"actions": [warrant.action]})
    assert (await house.receipt(warrant)).disposition == receipt_pb2.DISPOSITION_STOPPED


async def test_nothing_begins_past_its_end(house: House) -> None:
    """A warrant that waits, frozen, until its expiry is answered EXPIRED then, and changes nothing."""
    house.world.files = {"/a": content("bad")}
    await house.freeze(1)
    warrant = house.center.warrant(quarantine("/a"), expires=timedelta(milliseconds=50))
    house.send(warrant)
    await house.until(lambda: warrant.action in house.center.accepted)
    house.clock.advance(timedelta(seconds=1))
    assert (await house.receipt(warrant)).disposition == receipt_pb2.DISPOSITION_EXPIRED
    assert house.world.changes == []
