"""What may cut off its own receipt is taken back by itself, unless the centre acknowledges the receipt in time."""

from datetime import timedelta

import pytest
from quell.remediation.v1 import outcome_pb2
from quell.warrant.v1 import effect_report_pb2, receipt_pb2

from kit_house import House, stored
from kit_network import Network, isolate, join
from kit_world import content, quarantine
from quell_executor.journal.records import DEAD_MEN, OWNERS

ROLLED_BACK = effect_report_pb2.EFFECT_EVENT_ROLLED_BACK
IN_FORCE = outcome_pb2.EFFECT_STATE_IN_FORCE


async def acknowledge(house: House, receipt: receipt_pb2.Receipt) -> None:
    """Have the centre say that it has it."""
    house.say(stored=stored([receipt.id]))
    await house.quiet()


async def wait(house: House) -> None:
    """Let a little more time pass than a receipt may take."""
    house.clock.advance(house.settings.dead_man + timedelta(seconds=1))
    # Timers look at the clocks by and by; news of any revert has them look now.
    house.world.files = {"/a": content("bad")}
    await house.carry_out(quarantine("/a"), reverts=timedelta(days=1))
    await house.quiet()


async def test_it_is_taken_back_if_nobody_acknowledges_the_receipt(house: House, network: Network) -> None:
    """The rules are as before, ROLLED_BACK is told, and an undo is no longer possible."""
    done = await house.carry_out(isolate())
    assert (done.outcome.effect, network.rules) == (IN_FORCE, "ours:")
    await wait(house)
    await house.until(lambda: house.center.reports)
    (report,) = house.center.reports
    assert (report.action, report.event) == (done.action, ROLLED_BACK)
    assert report.effect == outcome_pb2.EFFECT_STATE_NOT_IN_FORCE
    assert network.rules == "an administrator's"
    assert not [row for row in await house.store.select(OWNERS) if row.kind == "isolate_device"]


async def test_an_acknowledged_receipt_lifts_it(house: House, network: Network) -> None:
    """Control: it stays."""
    await acknowledge(house, await house.carry_out(isolate()))
    await wait(house)
    assert network.rules == "ours:"


async def test_one_that_is_to_hold_holds(house: House, network: Network) -> None:
    """Nobody acknowledges, and it stays."""
    await house.carry_out(isolate(hold=True))
    await wait(house)
    assert network.rules == "ours:"


async def test_what_cuts_nothing_off_is_left(house: House, network: Network) -> None:
    """A kind that does not say so of itself is not taken back."""
    house.world.files = {"/b": content("bad")}
    await house.carry_out(quarantine("/b"))
    await wait(house)
    assert network.rules == "an administrator's"
    assert "/b" not in house.world.files


@pytest.mark.parametrize("point", ["kit.applied", "kit.ended", "kit.reverted"])
async def test_it_comes_through_a_crash(house: House, network: Network, point: str) -> None:
    """Wherever it dies, also in the middle of taking back, and after a reboot."""
    house.dies_at = point
    warrant = house.center.warrant(isolate())
    house.send(warrant)
    if point == "kit.reverted":
        await house.receipt(warrant)
        await wait(house)
        await house.until(lambda: not house.dies_at)
    await house.until(lambda: not house.dies_at)
    await house.crash()
    house.clock.since_boot = 5.0
    await house.move_in()
    await house.connect()
    await house.until(lambda: house.center.of(warrant.action))
    await wait(house)
    await house.until(lambda: [report for report in house.center.reports if report.event == ROLLED_BACK])
    assert network.rules == "an administrator's"
    assert await house.store.select(DEAD_MEN) == []


async def test_an_acknowledgement_that_comes_too_late_stops_nothing_half_way(house: House, network: Network) -> None:
    """Once it is being taken back it is taken back whole, and nobody owns it."""
    done = await house.carry_out(isolate())
    network.gate.clear()
    await wait(house)
    await acknowledge(house, done)
    network.gate.set()
    await house.until(lambda: [report for report in house.center.reports if report.event == ROLLED_BACK])
    assert network.rules == "an administrator's"


async def test_an_equal_one_takes_the_wait_over(house: House, network: Network) -> None:
    """The first's receipt never came through, the second's neither: both are taken back; acknowledged, it stays."""
    await house.carry_out(isolate())
    second = await house.carry_out(isolate())
    assert second.outcome.effect == outcome_pb2.EFFECT_STATE_ALREADY_IN_FORCE
    await wait(house)
    await house.until(lambda: [report for report in house.center.reports if report.event == ROLLED_BACK])
    assert (house.center.reports[-1].action, network.rules) == (second.action, "an administrator's")
    await house.carry_out(isolate())
    await acknowledge(house, await house.carry_out(isolate()))
    await wait(house)
    assert network.rules == "ours:"


async def test_one_that_changes_nothing_waits_for_nothing(house: House, network: Network) -> None:
    """It was in force and acknowledged: whatever becomes of the second receipt cuts nothing off."""
    await acknowledge(house, await house.carry_out(isolate()))
    await house.carry_out(isolate())
    await wait(house)
    assert network.rules == "ours:"


async def test_a_release_ends_the_wait(house: House, network: Network) -> None:
    """What is over is not taken back once more."""
    await house.carry_out(isolate())
    await house.carry_out(join())
    network.rules = "changed since"
    await wait(house)
    assert network.rules == "changed since"
    assert not [report for report in house.center.reports if report.event == ROLLED_BACK]


async def test_what_others_have_changed_since_is_left_and_a_person_is_asked(house: House, network: Network) -> None:
    """REVERT_CONFLICT."""
    await house.carry_out(isolate())
    await house.quiet()
    network.rules = "changed since"
    await wait(house)
    await house.until(lambda: house.center.reports)
    assert house.center.reports[-1].event == effect_report_pb2.EFFECT_EVENT_REVERT_CONFLICT
    assert network.rules == "changed since"
