"""kill at every point between two durable steps: after a restart the action ends as if nothing had happened."""

from datetime import timedelta

import pytest
from quell.remediation.v1 import outcome_pb2, remediation_pb2
from quell.warrant.v1 import receipt_pb2

from kit_house import Crash, House, key_set
from kit_world import content, give_back, quarantine, scan
from quell_executor.journal.endings import Journal
from quell_executor.settings import Seams

BAD = content("bad")
STEPS = ("journal.decided", "journal.committed", "kit.accepted", "kit.planned", "kit.applied", "kit.ended")
POINTS = [(step, time) for step in STEPS for time in range(1, 4 if step.startswith("journal") else 2)]


async def carried_out(
    house: House, remediation: remediation_pb2.Remediation, point: str, time: int, **other: str
) -> receipt_pb2.Receipt:
    """Carry an order out over a crash, as the centre does: what has no receipt is sent again."""
    passed = 0

    def dies(name: str) -> None:
        nonlocal passed
        passed += armed and name == point
        if armed and name == point and passed == time:
            raise Crash(name)

    warrant = house.center.warrant(remediation, **other)
    armed = False
    await house.again(point=dies)
    await house.quiet()
    armed = True
    house.send(warrant)
    await house.until(lambda: passed >= time)
    await house.again()
    house.send(warrant)
    await house.until(lambda: house.center.of(warrant.action))
    await house.quiet()
    assert len(house.center.of(warrant.action)) == 1, "the same receipt, however often"
    return house.center.of(warrant.action)[0]


@pytest.mark.parametrize(("point", "time"), POINTS)
@pytest.mark.parametrize("back", ["undo", "release"])
async def test_a_crash_between_two_steps_changes_nothing_of_the_end(
    house: House, point: str, time: int, back: str
) -> None:
    """Do, and take back, each over a crash: done once, taken back once, one receipt each."""
    house.world.files = {"/a": BAD, "/b": BAD}
    done = await carried_out(house, quarantine(name="bad"), point, time)
    assert done.outcome.effect == outcome_pb2.EFFECT_STATE_IN_FORCE
    assert (done.outcome.items.done_items, done.outcome.undo) == (2, outcome_pb2.UNDO_STATE_POSSIBLE)
    order, other = (quarantine(name="bad"), {"undo_of": done.action}) if back == "undo" else (give_back("bad"), {})
    undone = await carried_out(house, order, point, time, **other)
    assert undone.outcome.effect == outcome_pb2.EFFECT_STATE_IN_FORCE
    assert (house.world.files, house.world.vault) == ({"/a": BAD, "/b": BAD}, {})
    assert sorted(house.world.changes) == ["back /a", "back /b", "take /a", "take /b"]


async def test_what_becomes_too_late_while_it_is_journaled_is_not_begun(house: House) -> None:
    """The machine sleeps between the plan's commit and the first change, and wakes after the order's end."""
    house.world.files = {"/a": BAD}

    def sleeps(name: str) -> None:
        if name == "kit.planned":
            house.clock.advance(timedelta(days=30))

    await house.again(point=sleeps)
    await house.quiet()
    warrant = house.center.warrant(quarantine(name="bad"))
    house.send(warrant)
    assert (await house.receipt(warrant)).disposition == receipt_pb2.DISPOSITION_EXPIRED
    await house.again()
    await house.quiet()
    assert house.world.changes == []
    assert len(house.center.of(warrant.action)) == 1


async def half_done(house: House) -> str:
    """Die after the first of two changes; return the action. Nobody lives in the house then."""
    house.world.files = {"/a": BAD, "/b": BAD}

    def dies(change: str) -> None:
        if change == "take /b":
            raise Crash(change)

    house.world.before_each = dies
    warrant = house.center.warrant(quarantine(name="bad"))
    house.send(warrant)
    await house.until(lambda: house.world.changes)
    await house.quiet()
    await house.crash()
    house.world.before_each = lambda _change: None
    return warrant.action


async def ended(house: House, action: str) -> receipt_pb2.Receipt:
    """Live again, and return the receipt."""
    await house.move_in()
    await house.connect()
    await house.until(lambda: house.center.of(action))
    return house.center.of(action)[0]


async def test_partly_there_is_finished_even_past_its_end(house: House) -> None:
    """It was begun in time; frozen or not, it goes on."""
    action = await half_done(house)
    house.clock.advance(timedelta(days=30))
    receipt = await ended(house, action)
    assert receipt.outcome.effect == outcome_pb2.EFFECT_STATE_IN_FORCE
    assert house.world.changes == ["take /a", "take /b"]


async def test_partly_there_and_canceled_stops(house: House) -> None:
    """A cancel before the crash is not forgotten."""
    house.world.files = {"/a": BAD, "/b": BAD}

    def holds(change: str) -> None:
        if change == "take /a":
            house.world.gate.clear()

    house.world.before_each = holds
    warrant = house.center.warrant(quarantine(name="bad"))
    house.send(warrant)
    await house.until(lambda: house.world.changes)
    await house.executor._journal.cancel(warrant.action)  # noqa: SLF001 - it dies before it can stop
    await house.crash()
    house.world.gate.set()
    receipt = await ended(house, warrant.action)
    assert receipt.disposition == receipt_pb2.DISPOSITION_STOPPED
    assert house.world.changes == ["take /a"]


@pytest.mark.parametrize("late", [False, True])
async def test_nothing_there_is_begun_if_it_still_may(house: House, late: bool) -> None:  # noqa: FBT001 - a case
    """In time: begun, planned anew. Past its end: EXPIRED, and nothing is changed."""
    house.world.files = {"/a": BAD}
    house.dies_at = "kit.planned"
    warrant = house.center.warrant(quarantine("/a"))
    house.send(warrant)
    await house.until(lambda: not house.dies_at)
    await house.crash()
    if late:
        house.clock.advance(timedelta(hours=2))
    receipt = await ended(house, warrant.action)
    if late:
        assert receipt.disposition == receipt_pb2.DISPOSITION_EXPIRED
        assert house.world.changes == []
    else:
        assert receipt.outcome.effect == outcome_pb2.EFFECT_STATE_IN_FORCE


async def test_all_there_is_concluded_and_not_done_again(house: House) -> None:
    """The effect was made, its end was not journaled."""
    house.world.files = {"/a": BAD}
    house.dies_at = "kit.applied"
    warrant = house.center.warrant(quarantine("/a"))
    house.send(warrant)
    await house.until(lambda: not house.dies_at)
    await house.crash()
    receipt = await ended(house, warrant.action)
    assert receipt.outcome.items.done_items == 1
    assert receipt.outcome.HasField("start_time")
    assert house.world.changes == ["take /a"]


async def test_superseded_meanwhile_is_taken_back(house: House) -> None:
    """The undo was journaled before the crash: the older takes back what it did, and says SUPERSEDED."""
    house.world.files = {"/a": BAD, "/b": BAD}

    def holds(change: str) -> None:
        if change == "take /a":
            house.world.gate.clear()

    house.world.before_each = holds
    older = house.center.warrant(quarantine(name="bad"))
    house.send(older)
    await house.until(lambda: house.world.changes)
    newer = house.center.warrant(quarantine(name="bad"), undo_of=older.action)
    house.dies_at = "journal.committed"
    house.send(newer)
    await house.until(lambda: not house.dies_at)
    await house.crash()
    house.world.before_each = lambda _change: None
    house.world.gate.set()
    receipt = await ended(house, older.action)
    assert receipt.disposition == receipt_pb2.DISPOSITION_SUPERSEDED
    assert (await house.receipt(newer)).outcome.effect == outcome_pb2.EFFECT_STATE_TARGET_GONE
    assert house.world.files == {"/a": BAD, "/b": BAD}


async def test_what_can_not_be_told_is_left_alone_and_unknown(house: House) -> None:
    """The probe fails at recovery: nothing is changed, and the receipt says so. It can be undone."""
    action = await half_done(house)
    house.world.blind = True
    receipt = await ended(house, action)
    assert receipt.outcome.effect == outcome_pb2.EFFECT_STATE_UNKNOWN
    assert house.world.changes == ["take /a"]
    house.world.blind = False
    await house.carry_out(quarantine(name="bad"), undo_of=action)
    assert house.world.files == {"/a": BAD, "/b": BAD}


async def test_a_revoked_key_finishes_nothing(house: House) -> None:
    """What was half done when its key was revoked is left as it is, and said to be unknown."""
    action = await half_done(house)
    journal = Journal(house.reopened(), house.settings, Seams(house.clock, house.rng))
    await journal.load()
    await journal.learn_key_set(key_set(2, revoked=True))
    receipt = await ended(house, action)
    assert (receipt.outcome.effect, receipt.failure.reason) == (outcome_pb2.EFFECT_STATE_UNKNOWN, "SEAL_INVALID")
    assert house.world.changes == ["take /a"]


async def test_what_was_not_begun_when_its_key_was_revoked_is_refused(house: House) -> None:
    """It was accepted under the old keys; it is begun under none."""
    house.world.files = {"/a": BAD}
    await house.freeze(1)
    warrant = house.center.warrant(quarantine("/a"))
    house.send(warrant)
    await house.until(lambda: warrant.action in house.center.accepted)
    house.say(key_set=key_set(2, revoked=True))
    await house.quiet()
    await house.crash()
    assert (await ended(house, warrant.action)).failure.reason == "SEAL_INVALID"
    assert house.world.changes == []


async def test_a_reading_begins_anew(house: House) -> None:
    """A crash in the middle of a scan costs the scan so far, nothing else."""
    house.world.gate.clear()
    warrant = house.center.warrant(scan())
    house.send(warrant)
    await house.until(lambda: warrant.action in house.center.accepted)
    await house.quiet()
    await house.crash()
    house.world.gate.set()
    assert (await ended(house, warrant.action)).outcome.effect == outcome_pb2.EFFECT_STATE_IN_FORCE


async def test_a_newer_action_that_went_first_is_not_undone_by_an_older_one(house: House) -> None:
    """What was begun and came to nothing is only accepted again: what a newer one then does is not its own."""
    house.world.files = {"/a": BAD}
    older, newer = (house.center.warrant(quarantine(name="bad")) for _ in range(2))
    for warrant, point in ((older, "kit.planned"), (newer, "kit.accepted")):
        house.dies_at = point
        house.send(warrant)
        await house.until(lambda: not house.dies_at)
    house.dies_at = "kit.applied"
    await house.again()
    await house.until(lambda: not house.dies_at)
    await house.again()
    assert (await house.receipt(newer)).outcome.effect == outcome_pb2.EFFECT_STATE_IN_FORCE
    assert (await house.receipt(older)).disposition == receipt_pb2.DISPOSITION_SUPERSEDED
    assert house.world.changes == ["take /a"]
