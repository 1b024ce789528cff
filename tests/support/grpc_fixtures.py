"""pytest-grpc over grpc.aio, mutual TLS and the shell that all services have.

pytest-grpc alone knows sync servers in the clear. A module of tests takes the fixtures from here:

    from grpc_fixtures import aio_stub, deployment, grpc_addr, grpc_create_channel, grpc_server, grpc_service

and says what to serve by pytest-grpc's own names: `grpc_add_to_server`, `grpc_servicer` (a servicer, or an async
context manager around one), `grpc_stub_cls`. Then `grpc_stub` is ann's sync stub, `aio_stub("bob")` anybody's own,
and `await answers(stub, case)` holds an RPC against one case of its table.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from deployment import Deployment, deployment
from quell_runtime import client

__all__ = [
    "Case",
    "aio_stub",
    "answers",
    "deployment",
    "grpc_addr",
    "grpc_create_channel",
    "grpc_server",
    "grpc_service",
]


@pytest.fixture(scope="module")
def grpc_service() -> str:
    """Return whose certificate the server shows; override it for another."""
    return "actioncenter"


@pytest.fixture(scope="module")
def grpc_server(
    deployment: Deployment,
    grpc_service: str,
    grpc_servicer: Any,  # noqa: ANN401 - any servicer
    grpc_add_to_server: Callable[[Any, grpc.aio.Server], None],
) -> Iterator[int]:
    """Serve in a thread with a loop of its own, and return the port."""
    started, loop, stop = threading.Event(), asyncio.new_event_loop(), asyncio.Event()
    port = 0

    async def serve() -> None:
        nonlocal port
        async with AsyncExitStack() as stack:
            servicer = grpc_servicer
            if isinstance(servicer, AbstractAsyncContextManager):
                servicer = await stack.enter_async_context(servicer)
            server = deployment.server(grpc_service)
            server.add(grpc_add_to_server, servicer)
            await server.start()
            port = server.port
            started.set()
            await stop.wait()
            await server.drain(settle_s=0, grace_s=1)

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        finally:
            started.set()

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    yield port
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


@pytest.fixture(scope="module")
def grpc_addr(grpc_server: int) -> str:
    """Return the address of the server."""
    return f"127.0.0.1:{grpc_server}"


@pytest.fixture(scope="module")
def grpc_create_channel(
    grpc_addr: str,
    grpc_service: str,
    deployment: Deployment,
) -> Callable[..., grpc.Channel]:
    """Return what opens a sync channel as somebody."""

    def create(who: str = "ann") -> grpc.Channel:
        files = deployment.credentials(who)
        credentials = grpc.ssl_channel_credentials(
            files.ca.read_bytes(), files.key.read_bytes(), files.certificate.read_bytes()
        )
        return grpc.secure_channel(grpc_addr, credentials, options=client.options(grpc_service))

    return create


@pytest.fixture
async def aio_stub(
    grpc_server: int,
    grpc_service: str,
    deployment: Deployment,
    grpc_stub_cls: Callable[[grpc.aio.Channel], Any],
) -> AsyncIterator[Callable[[str], Any]]:
    """Return what makes an async stub for somebody."""
    async with AsyncExitStack() as stack:
        stubs: dict[str, Any] = {}
        for who in ("ann", "bob", "carol", "dan", "rita", "xdr", "actioncenter", "device", "email", "clicks"):
            channel = deployment.channel(grpc_server, who, grpc_service)
            stubs[who] = grpc_stub_cls(await stack.enter_async_context(channel))
        yield stubs.__getitem__


@dataclass(frozen=True)
class Case:
    """One line of an RPC's table: who asks what, and what the answer is."""

    method: str
    request: Message
    code: grpc.StatusCode = grpc.StatusCode.OK
    reason: str = ""
    field: str = ""
    who: str = "ann"
    timeout: float | None = 10

    def __str__(self) -> str:
        """Name it in the report."""
        return f"{self.method}-{self.who}-{self.reason or self.code.name}"


async def answers(stub: Callable[[str], Any], case: Case) -> client.Problem | Message:
    """Call, hold the answer against the case, and return it."""
    call = getattr(stub(case.who), case.method)(case.request, timeout=case.timeout)
    try:
        found: Message = await call if hasattr(call, "__await__") else [each async for each in call][-1]
    except grpc.aio.AioRpcError as error:
        problem = client.problem(error)
        assert (problem.code, problem.reason) == (case.code, case.reason), problem
        assert not case.field or case.field in [name for name, _ in problem.violations], problem
        return problem
    assert case.code is grpc.StatusCode.OK, found
    return found
