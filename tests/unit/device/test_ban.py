"""A ban meets every stream, also one that is just being let in."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from quell.device.v1 import agent_service_pb2
from quell.warrant.v1 import seal_pb2

from quell_device.application.center import Center
from quell_device.application.gateway import Gateway
from quell_device.application.registry import Registry
from quell_device.domain.errors import BannedError
from quell_device.domain.records import DeviceRecord
from quell_device.store.tables import DEVICES
from quell_runtime.seams import SystemClock, SystemRng
from quell_runtime.store import Store
from quell_runtime.store.connection import InlineSqlite
from quell_runtime.store.opening import migrate

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Racing(Registry):
    """Bans a device just after it was found to be welcome."""

    raced = False

    async def admitted(self, device: str) -> DeviceRecord:
        """Look, and then ban."""
        found = await super().admitted(device)
        if not self.raced:
            self.raced = True
            await self.ban(device, "ann: lost")
        return found


async def silence() -> AsyncIterator[agent_service_pb2.ConnectRequest]:
    """Say nothing."""
    nothing: tuple[agent_service_pb2.ConnectRequest, ...] = ()
    for each in nothing:
        yield each


async def test_a_ban_between_the_look_and_the_stream_is_not_missed(tmp_path: Path) -> None:
    """The stream ends before anything goes down it."""
    migrate(tmp_path / "db", "quell_device.store")
    writer, reader = InlineSqlite(tmp_path / "db"), InlineSqlite(tmp_path / "db")
    registry = Racing(Store(writer, reader), SystemClock())
    await registry.store.change(
        lambda view: view.put(DEVICES, DeviceRecord("a", bytes(32), seal_pb2.Sealed(), (), NOW, NOW))
    )
    center = Center(registry, "example", bytes(32))
    gateway = Gateway(registry, center, SystemClock(), SystemRng(), bytes(32))
    with pytest.raises(BannedError):
        await anext(gateway.connect("a", silence()))
    await writer.close()
    await reader.close()
