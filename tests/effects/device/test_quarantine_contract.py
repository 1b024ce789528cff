"""The quarantine keeps the kit's contract of effects."""

import pytest
from google.protobuf.message import Message
from quell.remediation.v1 import device_pb2, target_pb2

from quarantine_world import World, digests, facts
from quell_agent.effects.stop_and_quarantine import StopAndQuarantine
from quell_executor.contract import EffectContract


class Copies:
    """A content in two copies, one with a second name, which a table and a unit start."""

    def __init__(self, world: World) -> None:
        """Make them."""
        first = world.program("a/first")
        second = world.program("b/second", like=first)
        (world.box / "b/also").hardlink_to(second)
        self._table, self._unit = world.root / "etc/cron.d/table", world.root / "etc/systemd/system/x.service"
        for path, text in ((self._table, "* * * * * root {}\n"), (self._unit, "[Service]\nExecStart={}\n")):
            path.parent.mkdir(parents=True)
            path.write_text(text.format(first))
        self._world = world
        self._paths = (first, second, world.box / "b/also")
        file = target_pb2.FileSelector(sha256=digests(first).sha256)
        self._order = device_pb2.StopAndQuarantine(file=file, search_folders=[str(world.box)])

    @property
    def effect(self) -> StopAndQuarantine:
        """The effect, as a process that was just started has it."""
        return self._world.effect()

    @property
    def order(self) -> Message:
        """The order for the content."""
        return self._order

    async def look(self) -> object:
        """Return everything about the files, and whatever else lies in their folders."""
        others = sorted(path for path in self._world.box.rglob("*") if path not in self._paths)
        started = [path.readlink() if path.is_symlink() else facts(path) for path in (self._table, self._unit)]
        return others, started, [facts(path) if path.exists() else None for path in self._paths]

    async def disturb(self) -> None:
        """Take a path."""
        self._paths[0].write_bytes(b"mine")


class TestStopAndQuarantine(EffectContract):
    """It keeps the contract."""

    @pytest.fixture
    def world(self, world: World) -> Copies:
        """Return the copies."""
        return Copies(world)
