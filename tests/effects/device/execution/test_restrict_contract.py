"""The restriction of execution keeps the kit's contract of effects."""

import pytest
from google.protobuf.message import Message
from quell.remediation.v1 import device_pb2

from execution_world import World
from quell_agent.effects.restrict_code_execution import RestrictCodeExecution
from quell_agent.execution import memfd
from quell_executor.contract import EffectContract


class Machine:
    """A machine on which everything starts."""

    def __init__(self, world: World) -> None:
        """Take it."""
        self._world = world

    @property
    def effect(self) -> RestrictCodeExecution:
        """The effect, as a process that was just started has it."""
        return self._world.effect()

    @property
    def order(self) -> Message:
        """The order."""
        return device_pb2.RestrictCodeExecution()

    async def look(self) -> object:
        """Return what starts, and what the kernel lets memory hold."""
        return self._world.bad_runs(), self._world.good_runs(), memfd.read()

    async def disturb(self) -> None:
        """Set the kernel as we did not."""
        memfd.write(1)


class TestRestrictCodeExecution(EffectContract):
    """It keeps the contract."""

    @pytest.fixture
    def world(self, world: World) -> Machine:
        """Return the machine."""
        return Machine(world)
