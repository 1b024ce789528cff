"""A hostile agent sends the largest messages that there may be: what counts against it is their size, too."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

from quell.device.v1 import agent_service_pb2
from quell.executor.v1 import executor_service_pb2

from quell_device.application.gateway import Gateway
from quell_device.application.session import RATE, Session
from quell_device.application.uplink import Uplink
from quell_device.domain.routes import Routes
from quell_runtime.server import AGENTS
from virtual_time import VirtualClock


@dataclass(eq=False)
class Counted(Session):
    """A session that notes what it was asked for."""

    costs: list[float] = field(default_factory=list)

    async def allow(self, cost: float) -> None:
        """Let everything through."""
        self.costs.append(cost)


async def test_a_large_message_counts_as_many() -> None:
    """Sustained, one agent brings little more than a megabyte a second, not a hundred."""
    gateway = object.__new__(Gateway)
    cast("Any", gateway)._routes, cast("Any", gateway)._uplink = Routes(), Uplink()  # noqa: SLF001 - it needs no more
    session = Counted("d" * 26, VirtualClock(), hello=executor_service_pb2.ExecutorHello(version=1))
    small, large = (
        executor_service_pb2.ItemChunk(id="i", action="a", body=bytes(size)) for size in (100, AGENTS.message_bytes)
    )

    async def said() -> AsyncIterator[agent_service_pb2.ConnectRequest]:
        for chunk in (small, large):
            items = executor_service_pb2.ItemChunks(chunks=[chunk])
            yield agent_service_pb2.ConnectRequest(up=executor_service_pb2.WorkResponse(items=items))

    await gateway._hear_agent(session, said())
    first, second = session.costs
    assert first == 1
    assert AGENTS.message_bytes * RATE / second < 2 << 20
