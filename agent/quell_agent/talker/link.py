"""The link: one outgoing stream to the gateway, opened again and again, and a certificate that is renewed in time."""

import asyncio
import platform
import socket
from collections.abc import Coroutine, Sequence
from importlib.metadata import version
from typing import Protocol, TypeAlias

import grpc
import structlog
from quell.device.v1 import agent_service_pb2, agent_service_pb2_grpc

from quell_agent.talker import dialling
from quell_agent.talker.certificate import Certificate
from quell_runtime.addresses import Address
from quell_runtime.errors import QuellError
from quell_runtime.seams import Rng

Stub: TypeAlias = "agent_service_pb2_grpc.AgentServiceAsyncStub"
Call: TypeAlias = "grpc.aio.StreamStreamCall[agent_service_pb2.ConnectRequest, agent_service_pb2.ConnectResponse]"

log = structlog.get_logger()
VERSION = version("quell")
FIRST_WAIT = 0.2
LONGEST_WAIT = 60.0
STEADY = 30.0
"""Seconds after which a stream counts as good, and the next wait is a short one again."""
BROKEN = (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError, OSError, QuellError)
SHUT_OUT = (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.FAILED_PRECONDITION)
"""What a gateway says to whom it will not have soon: banned, unknown, or two machines with one identity."""
RENEWED_AGAIN_AFTER = 60.0


class Executor(Protocol):
    """Who holds the conversations, in the other process."""

    async def converse(self, call: Call) -> None:
        """Hold one, until either side ends it."""

    async def resolved(self, hosts: Sequence[str]) -> None:
        """Learn what the gateway's name stands for."""


class Link:
    """Keeps an executor in conversation with the centre, through the gateway."""

    def __init__(
        self,
        gateway: Address,
        hosts: Sequence[str],
        certificate: Certificate,
        executor: Executor,
        rng: Rng,
    ) -> None:
        """Link an enrolled agent. `hosts` are addresses that the gateway had before."""
        self._gateway = gateway
        self._hosts = list(hosts)
        self._certificate = certificate
        self._executor = executor
        self._rng = rng
        self._stub: Stub | None = None
        self._standing = asyncio.Event()

    async def run(self) -> None:
        """Stay in conversation for as long as the certificate counts."""
        wait = FIRST_WAIT
        loop = asyncio.get_running_loop()
        while not self._certificate.over:
            begin = loop.time()
            try:
                await self._once()
            except BROKEN as error:
                code = error.code() if isinstance(error, grpc.aio.AioRpcError) else None
                log.info("link_broken", why=type(error).__name__, code=code.name if code else "")
                wait = LONGEST_WAIT if code in SHUT_OUT else wait
            except Exception:
                # Whatever a gateway says: the agent stays, since what is in force here must end in its time.
                log.exception("link_failed")
            wait = FIRST_WAIT if loop.time() - begin > STEADY else min(wait * 2, LONGEST_WAIT)
            # From half of the wait to all of it: a thousand agents must not come back in one moment.
            await asyncio.sleep(wait * (1 + self._rng.fraction()) / 2)

    async def stub(self) -> Stub:
        """Return the way to the gateway, as soon as a conversation stands."""
        while self._stub is None:
            await self._standing.wait()
        return self._stub

    async def _once(self) -> None:
        if hosts := await dialling.resolved(self._gateway):
            self._hosts = hosts
            await self._executor.resolved(hosts)
        async with dialling.dialled(self._gateway, self._hosts, self._certificate.credentials) as channel:
            stub = agent_service_pb2_grpc.AgentServiceStub(channel)
            await _first_of(self._talk(stub), self._renew_in_time(stub))

    async def _talk(self, stub: Stub) -> None:
        call = stub.Connect()
        await call.write(agent_service_pb2.ConnectRequest(facts=facts()))
        await call.wait_for_connection()
        self._stub = stub
        self._standing.set()
        try:
            await self._executor.converse(call)
        finally:
            self._stub = None
            self._standing.clear()

    async def _renew_in_time(self, stub: Stub) -> None:
        """Renew the certificate when it is time; then the stream ends, so that the next one shows it."""
        await asyncio.sleep(max(0.0, self._certificate.renewal_in().total_seconds()))
        while True:
            try:
                await self._certificate.renew(stub)
            except grpc.aio.AioRpcError as error:
                log.warning("certificate_not_renewed", code=error.code().name)
                await asyncio.sleep(RENEWED_AGAIN_AFTER * (1 + self._rng.fraction()) / 2)
            else:
                return


async def _first_of(*works: Coroutine[None, None, None]) -> None:
    """Do all, until one has ended, and let the others go.

    A call that is broken off on this side reads as a cancellation; it ends the work, and nothing else.
    """
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        if not task.cancelled():
            task.result()


def facts() -> agent_service_pb2.DeviceFacts:
    """Return what the machine is like."""
    try:
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        system = platform.system()
    return agent_service_pb2.DeviceFacts(
        host_name=socket.gethostname(), os=system, kernel=platform.release(), agent_version=VERSION
    )
