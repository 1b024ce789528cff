"""A revert by time comes from the executor's own journal: nobody need be reached."""

from datetime import timedelta

from quell.remediation.v1 import outcome_pb2
from quell.warrant.v1 import effect_report_pb2

from kit_house import House
from kit_world import content, quarantine
from quell_executor.journal.records import REVERTS

BAD = content("bad")
SOON = timedelta(milliseconds=50)
REVERTED = effect_report_pb2.EFFECT_EVENT_REVERTED_BY_TIME


async def take(house: House, reverts: timedelta) -> str:
    """Quarantine /a for a time; return the action."""
    house.world.files = {"/a": BAD}
    return (await house.carry_out(quarantine("/a"), expires=reverts, reverts=reverts)).action


async def test_it_comes_while_nobody_can_be_reached_and_is_reported_later(house: House) -> None:
    """The conversation is over; the effect ends; the report goes up with the next one."""
    action = await take(house, SOON)
    await house.hang_up()
    house.clock.advance(SOON)
    await house.until(lambda: house.world.files)
    await house.connect()
    await house.until(lambda: house.center.reports)
    report = house.center.reports[0]
    assert (report.action, report.event) == (action, REVERTED)
    assert report.effect == outcome_pb2.EFFECT_STATE_NOT_IN_FORCE


async def test_boot_time_counts_when_the_wall_clock_is_set_back(house: House) -> None:
    """Whichever comes first."""
    await take(house, SOON)
    house.clock.wall -= timedelta(days=1)
    house.clock.since_boot += 1
    await house.until(lambda: house.world.files)


async def test_it_comes_through_a_crash_by_the_wall_clock(house: House) -> None:
    """A restart long after its time takes the effect back at once."""
    await take(house, timedelta(days=3))
    await house.crash()
    house.clock.advance(timedelta(days=4))
    house.clock.since_boot = 1.0
    await house.move_in()
    await house.until(lambda: house.world.files)


async def test_a_conflict_leaves_the_effect_and_asks(house: House) -> None:
    """Others have put something there: REVERT_CONFLICT, still in force, once."""
    await take(house, SOON)
    house.world.files["/a"] = content("mine")
    house.clock.advance(SOON)
    await house.until(lambda: house.center.reports)
    report = house.center.reports[0]
    assert report.event == effect_report_pb2.EFFECT_EVENT_REVERT_CONFLICT
    assert (report.effect, report.failure.reason) == (outcome_pb2.EFFECT_STATE_IN_FORCE, "PATH_TAKEN")
    assert house.world.files == {"/a": content("mine")}
    await house.crash()
    await house.move_in()
    await house.quiet()
    assert await house.store.select(REVERTS) == []


async def test_a_newer_action_brings_its_own_time_or_none(house: House) -> None:
    """The first was for a while; the second took over for good: nothing is taken back."""
    await take(house, SOON)
    await house.carry_out(quarantine(name="bad"))
    house.clock.advance(timedelta(days=1))
    await house.again()
    await house.quiet()
    assert house.world.files == {}


async def test_a_revert_that_can_not_be_done_now_is_tried_again(house: House) -> None:
    """The probe fails; after a restart it works."""
    await take(house, SOON)
    house.world.blind = True
    house.clock.advance(SOON)
    await house.quiet()
    assert house.world.files == {}
    house.world.blind = False
    await house.again()
    await house.until(lambda: house.world.files)
