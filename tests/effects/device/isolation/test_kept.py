"""Under the kit: an isolation is kept, changed in place, and ends by undo, release, its time or a lost channel."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from quell.remediation.v1 import device_pb2, outcome_pb2, remediation_pb2
from quell.warrant.v1 import effect_report_pb2

from isolation_world import DEVICE, FULL, Device, selective
from kit_house import House, stored
from network_lab import WORLD
from quell_agent.effects.release_device_from_isolation import ReleaseDeviceFromIsolation

ISOLATE = remediation_pb2.Remediation(isolate_device=FULL)
OTHER = remediation_pb2.Remediation(
    isolate_device=selective(device_pb2.NetworkExclusion(remotes=["10.90.2.3"], ports=[443]))
)
HOLD = remediation_pb2.Remediation(
    isolate_device=device_pb2.IsolateDevice(device=DEVICE, mode=device_pb2.ISOLATION_MODE_FULL, hold=True)
)
RELEASE = remediation_pb2.Remediation(
    release_device_from_isolation=device_pb2.ReleaseDeviceFromIsolation(device=DEVICE)
)
IN_FORCE, ALREADY = outcome_pb2.EFFECT_STATE_IN_FORCE, outcome_pb2.EFFECT_STATE_ALREADY_IN_FORCE
WAYS = [f"device udp {WORLD} 53", "device frame w0 88b5", f"container udp {WORLD} 53"]
EXCLUDED = "device tcp 10.90.2.3 443"
LONG = 20.0
SOON = timedelta(milliseconds=50)


@pytest.fixture
async def house(device: Device, tmp_path: Path) -> House:
    """Return an executor that serves the isolation of the device, connected."""
    house = House(tmp_path)
    house.more = {"isolate_device": device.agent, "release_device_from_isolation": ReleaseDeviceFromIsolation()}
    await house.move_in()
    await house.connect()
    return house


def reported(house: House) -> list[str]:
    """Return what was reported of effects in force."""
    names = effect_report_pb2.EffectEvent.Name
    return [names(each.event).removeprefix("EFFECT_EVENT_") for each in house.center.reports]


async def test_changed_in_place_and_released(house: House, device: Device) -> None:
    """Equal orders need nothing, others change it; one release ends the row, and every rule is as it was."""
    before = device.lab.ruleset()
    assert (await house.carry_out(ISOLATE)).outcome.effect == IN_FORCE
    assert (await house.carry_out(ISOLATE)).outcome.effect == ALREADY
    assert await device.leaking([*WAYS, EXCLUDED]) == []
    assert (await house.carry_out(OTHER)).outcome.effect == IN_FORCE
    assert await device.leaking([*WAYS, EXCLUDED]) == [EXCLUDED]
    assert (await house.carry_out(RELEASE)).outcome.effect == IN_FORCE
    assert device.lab.ruleset() == before
    await house.crash()


async def test_undo_of_the_newest_returns_to_before_the_first(house: House, device: Device) -> None:
    """Not to the isolation that it changed."""
    before = device.lab.ruleset()
    await house.carry_out(ISOLATE)
    second = await house.carry_out(OTHER)
    assert (await house.carry_out(OTHER, undo_of=second.action)).outcome.effect == IN_FORCE
    assert device.lab.ruleset() == before
    await house.crash()


async def test_tampering_is_reported_and_made_good(house: House, device: Device) -> None:
    """Where tables can't be owned: all rules are flushed, and soon it is isolated again."""
    await device.restart(own=False)
    house.more["isolate_device"] = device.agent
    await house.again()
    await house.carry_out(ISOLATE)
    device.lab.nft("flush ruleset")
    await house.until(lambda: {"TAMPERED", "REASSERTED"} <= set(reported(house)), LONG)
    assert await device.leaking(WAYS) == []
    await house.crash()


async def test_a_restart_lifts_nothing_and_reports_nothing(house: House, device: Device) -> None:
    """The agent dies and comes back: it is isolated throughout, by what the kernel kept, and that is no tampering."""
    await house.carry_out(ISOLATE)
    rules = device.lab.ruleset().count("quell_isolation")
    await house.crash()
    await device.agent.kill()
    assert await device.leaking(WAYS) == []
    await device.restart()
    house.more["isolate_device"] = device.agent
    await house.move_in()
    await house.connect()
    await house.until(lambda: device.lab.ruleset().count("flags owner") == 3, LONG)
    assert not {"TAMPERED", "REASSERTED", "DRIFTED"} & set(reported(house))
    assert device.lab.ruleset().count("quell_isolation") == rules
    await house.crash()


async def test_it_ends_at_its_time(house: House, device: Device) -> None:
    """By the executor's own journal: nobody has to be reached."""
    before = device.lab.ruleset()
    await house.carry_out(ISOLATE, reverts=timedelta(hours=2))
    await house.crash()
    house.clock.advance(timedelta(hours=3))
    await house.move_in()
    await house.until(lambda: device.lab.ruleset() == before, LONG)
    await house.crash()


def set_back(house: House) -> None:
    """Set the wall clock back by a day, while the time since boot goes on."""
    house.clock.wall -= timedelta(days=1)
    house.clock.since_boot += 1


def set_forward(house: House) -> None:
    """Set the wall clock forward by an hour, in no time."""
    house.clock.wall += timedelta(hours=1)


@pytest.mark.parametrize("jump", [set_back, set_forward])
async def test_it_ends_at_its_time_though_a_clock_jumps_and_the_centre_is_dead(
    house: House, device: Device, jump: Callable[[House], None]
) -> None:
    """By whichever clock is there first. Until then it stands; who comes back later hears of it."""
    before = device.lab.ruleset()
    receipt = await house.carry_out(ISOLATE, expires=SOON, reverts=SOON)
    assert receipt.outcome.effect == IN_FORCE
    house.say(stored=stored([receipt.id]))
    await house.quiet()
    await house.hang_up()
    assert await device.leaking(WAYS) == []
    jump(house)
    await house.until(lambda: device.lab.ruleset() == before, LONG)
    assert await device.leaking(WAYS) == WAYS
    await house.connect()
    await house.until(lambda: "REVERTED_BY_TIME" in reported(house), LONG)
    await house.crash()


async def test_it_ends_at_its_time_through_a_reboot_and_a_dead_centre(house: House, device: Device) -> None:
    """The time since boot begins anew; what isolates at boot is there, and goes: by the wall clock."""
    receipt = await house.carry_out(ISOLATE, reverts=timedelta(hours=2))
    house.say(stored=stored([receipt.id]))
    await house.quiet()
    await house.crash()
    await device.agent.kill()
    device.lab.nft("flush ruleset")
    device.lab.nft("flush ruleset", "container")
    device.lab.run("device", "nft", "-f", str(device.data / "isolation/isolation.nft"))
    assert not await device.leaks(WAYS[0])
    house.clock.wall, house.clock.since_boot = house.clock.wall + timedelta(hours=3), 1.0
    await device.restart()
    house.more["isolate_device"] = device.agent
    await house.move_in()
    await house.until(lambda: "quell_isolation" not in device.lab.ruleset(), LONG)
    assert await device.leaking(WAYS) == WAYS
    await house.crash()


@pytest.mark.parametrize(("order", "stays"), [(ISOLATE, False), (HOLD, True)], ids=["taken back", "told to hold"])
async def test_a_lost_channel_takes_it_back(
    house: House, device: Device, order: remediation_pb2.Remediation, *, stays: bool
) -> None:
    """If nobody acknowledges the receipt in time, the device is open again, unless it was told to hold."""
    before = device.lab.ruleset()
    await house.carry_out(order)
    assert device.lab.ruleset() != before
    house.clock.advance(house.settings.dead_man + timedelta(seconds=1))
    await house.again()
    if stays:
        await house.quiet()
        assert await device.leaking(WAYS) == []
    else:
        await house.until(lambda: device.lab.ruleset() == before, LONG)
    await house.crash()


async def test_an_acknowledged_receipt_lets_it_stay(house: House, device: Device) -> None:
    """Control of the dead-man: it is the silence that takes it back."""
    receipt = await house.carry_out(ISOLATE)
    house.say(stored=stored([receipt.id]))
    await house.quiet()
    house.clock.advance(house.settings.dead_man + timedelta(seconds=1))
    await house.again()
    await house.quiet()
    assert await device.leaking(WAYS) == []
    await house.crash()


async def test_a_lost_journal_does_not_lock_it_in(house: House, device: Device) -> None:
    """What is in force is known by the file that isolates at boot, and can be released."""
    before = device.lab.ruleset()
    await house.carry_out(ISOLATE)
    await house.crash()
    house.lose_journal()
    await house.move_in()
    await house.connect()
    assert await device.leaking(WAYS) == []
    await house.carry_out(RELEASE)
    assert device.lab.ruleset() == before
    await house.crash()
