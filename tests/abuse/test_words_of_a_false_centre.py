"""Somebody has the centre's certificate but not its seal key: nothing it says stands in the way of the true one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from quell.warrant.v1 import freeze_pb2, seal_pb2

from deployment import Deployment
from device_center import center, freeze, key_set
from device_house import Agent, House, running, sealed
from eventually import eventually
from quell_runtime.sealing import SealKey

FALSE = SealKey(bytes([66] * 32))


@pytest.fixture
async def house(deployment: Deployment, tmp_path: Path) -> AsyncIterator[House]:
    """Return a running device service without devices."""
    async with running(deployment, tmp_path) as found:
        yield found


async def test_a_forged_freeze_hides_no_true_one(house: House) -> None:
    """Its epoch is the highest that there is; agents that come later hear of the true one all the same."""
    there, later = await house.enrolled(), await house.enrolled()
    forged = sealed(FALSE, freeze_pb2.Freeze(deployment="example", epoch=(1 << 63) - 1, frozen=False))

    def heard(agent: Agent) -> list[seal_pb2.Sealed]:
        return [one.freeze for one in agent.received if one.HasField("freeze")]

    async def look() -> list[seal_pb2.Sealed]:
        return heard(there)

    async def look_later() -> list[seal_pb2.Sealed]:
        return heard(later)

    async with center(house) as found, there.connected():
        await eventually(lambda: _hellos(there), bool)
        await found.down(key_set=key_set(3))
        await found.down(freeze=forged)
        await found.down(freeze=freeze(5))
        # Who is there hears of both, and judges for itself.
        await eventually(look, lambda seen: seen == [forged, freeze(5)])
    async with later.connected():
        await eventually(look_later, lambda seen: seen == [freeze(5)])


async def _hellos(agent: Agent) -> int:
    return sum(one.HasField("hello") for one in agent.received)
