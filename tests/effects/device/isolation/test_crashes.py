"""Killed at any point of its way, forth or back, a device is isolated or it is not; and the way can be finished."""

import pytest

from isolation_world import FULL, Device, DiedError
from network_lab import WORLD

WAYS = [f"device udp {WORLD} 53", "device frame w0 88b5", f"container udp {WORLD} 53"]
POINTS = ["isolation.saved", "isolation.tables", "isolation.closed"]
POINTS_BACK = ["isolation.forgotten", "isolation.opened"]


async def whole_or_absent(device: Device) -> list[str]:
    """Check that all of the device's own ways leak, or none."""
    leaking = await device.leaking(WAYS[:2])
    assert leaking in ([], WAYS[:2])
    return leaking


@pytest.mark.parametrize("finish", [True, False], ids=["finished", "taken back"])
@pytest.mark.parametrize("point", POINTS)
async def test_killed_while_isolating(device: Device, point: str, *, finish: bool) -> None:
    """At each point it is isolated, or not, never half; and it can be finished, and taken back exactly."""
    before = device.lab.ruleset()
    plan = await device.agent.plan(FULL, None)
    await device.agent.die_at(point)
    with pytest.raises(DiedError):
        await device.isolate()
    assert (await whole_or_absent(device) == []) == (point == POINTS[-1])
    await device.restart()
    assert await device.states(plan) == ["FAILED"]
    if finish:
        await device.isolate()
        assert await device.leaking(WAYS) == []
    await device.release(plan)
    assert device.lab.ruleset() == before
    assert await device.leaking(WAYS) == WAYS


@pytest.mark.parametrize("point", POINTS_BACK)
async def test_killed_while_releasing(device: Device, point: str) -> None:
    """At each point it is isolated, or not, never half; and the same release comes to its end."""
    before = device.lab.ruleset()
    plan = await device.isolate()
    await device.agent.die_at(point)
    with pytest.raises(DiedError):
        await device.release(plan)
    assert (await whole_or_absent(device) == []) == (point == POINTS_BACK[0])
    await device.restart()
    await device.release(plan)
    assert device.lab.ruleset() == before
    assert await device.leaking(WAYS) == WAYS
