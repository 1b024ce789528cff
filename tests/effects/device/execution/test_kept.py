"""Under the kit: it is kept as ordered through deaths and restarts of everybody, and released by order."""

import os
import signal
from pathlib import Path

import pytest
from quell.remediation.v1 import device_pb2, outcome_pb2, remediation_pb2
from quell.warrant.v1 import effect_report_pb2

from execution_world import World
from kit_house import House
from quell_agent.effects.release_code_execution import ReleaseCodeExecution

DEVICE = f"devices/{'a' * 26}"
RESTRICT = remediation_pb2.Remediation(restrict_code_execution=device_pb2.RestrictCodeExecution(device=DEVICE))
RELEASE = remediation_pb2.Remediation(release_code_execution=device_pb2.ReleaseCodeExecution(device=DEVICE))
IN_FORCE, NOT_IN_FORCE = outcome_pb2.EFFECT_STATE_IN_FORCE, outcome_pb2.EFFECT_STATE_NOT_IN_FORCE
LONG = 30.0


@pytest.fixture
def house(world: World, tmp_path: Path) -> House:
    """Return an executor that serves the restriction."""
    house = House(tmp_path)
    house.more = {"restrict_code_execution": world.effect(), "release_code_execution": ReleaseCodeExecution()}
    return house


def reported(house: House) -> list[str]:
    """Return what was reported of effects in force."""
    return [
        effect_report_pb2.EffectEvent.Name(each.event).removeprefix("EFFECT_EVENT_") for each in house.center.reports
    ]


async def kill_guardian(world: World) -> None:
    """Take the restriction away, as root on the machine could."""
    status = await world.status()
    assert status is not None
    os.kill(status.guardian, signal.SIGKILL)


async def guarded(house: House, world: World) -> None:
    """Wait until strangers are refused."""
    await house.until(lambda: not world.bad_runs(), LONG)


async def test_it_is_kept_until_it_is_released(house: House, world: World) -> None:
    """A killed guardian is reported and replaced; a restart lifts nothing, and finds what was lost meanwhile."""
    await house.move_in()
    await house.connect()
    receipt = await house.carry_out(RESTRICT)
    assert (receipt.outcome.effect, world.bad_runs()) == (IN_FORCE, False)
    await kill_guardian(world)
    await house.until(lambda: {"TAMPERED", "REASSERTED"} <= set(reported(house)), LONG)
    assert not world.bad_runs()
    await house.crash()
    assert not world.bad_runs()
    await kill_guardian(world)
    await house.until(world.bad_runs, LONG)
    await house.move_in()
    await house.connect()
    await guarded(house, world)
    receipt = await house.carry_out(RELEASE)
    assert (receipt.outcome.effect, world.bad_runs()) == (IN_FORCE, True)
    assert await world.status() is None
    await house.crash()


async def test_an_equal_order_takes_over_and_undo_returns_to_before_both(house: House, world: World) -> None:
    """The second is not needed; its undo ends the restriction."""
    await house.move_in()
    await house.connect()
    await house.carry_out(RESTRICT)
    second = await house.carry_out(RESTRICT)
    assert second.outcome.effect == outcome_pb2.EFFECT_STATE_ALREADY_IN_FORCE
    await house.carry_out(RESTRICT, undo_of=second.action)
    assert world.bad_runs()
    await house.crash()


async def test_a_lost_journal_does_not_lock_anybody_in(house: House, world: World) -> None:
    """What is in force is known by its mark alone, and can be released."""
    await house.move_in()
    await house.connect()
    await house.carry_out(RESTRICT)
    await house.crash()
    house.lose_journal()
    await house.move_in()
    await house.connect()
    assert not world.bad_runs()
    await house.carry_out(RELEASE)
    assert world.bad_runs()
    await house.crash()
