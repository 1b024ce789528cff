"""The link: one outgoing stream to the gateway, opened again and again, and a certificate that is renewed in time."""

import asyncio
import platform
import socket
from collections.abc import Callable
from importlib.metadata import version

import grpc
import structlog
from quell.device.v1 import agent_service_pb2, agent_service_pb2_grpc

from quell_agent.identity import Identity
from quell_agent.settings import AgentSettings
from quell_executor.executor import Executor
from quell_executor.service import GrpcTransport
from quell_runtime.client import channel
from quell_runtime.errors import QuellError
from quell_runtime.seams import Rng

log = structlog.get_logger()
FIRST_WAIT = 0.2
LONGEST_WAIT = 60.0
STEADY = 30.0
"""Seconds after which a stream counts as good, and the next wait is a short one again."""
BROKEN = (grpc.aio.AioRpcError, asyncio.InvalidStateError, OSError, QuellError)


class Link:
    """Keeps an executor in conversation with the centre, through the gateway."""

    def __init__(self, identity: Identity, executor: Executor, settings: AgentSettings, rng: Rng) -> None:
        """Link an enrolled agent."""
        self._identity = identity
        self._executor = executor
        self._settings = settings
        self._rng = rng

    async def run(self, connected: Callable[[], None]) -> None:
        """Stay in conversation until cancelled; `connected` is called whenever a stream stands."""
        wait = FIRST_WAIT
        loop = asyncio.get_running_loop()
        while True:
            begin = loop.time()
            try:
                await self._once(connected)
            except BROKEN as error:
                log.info("link_broken", why=type(error).__name__)
            except Exception:
                # Whatever a gateway says: the agent stays, since what is in force here must end in its time.
                log.exception("link_failed")
            wait = FIRST_WAIT if loop.time() - begin > STEADY else min(wait * 2, LONGEST_WAIT)
            # From half of the wait to all of it: a thousand agents must not come back in one moment.
            await asyncio.sleep(wait * (1 + self._rng.fraction()) / 2)

    async def _once(self, connected: Callable[[], None]) -> None:
        if self._identity.ended:
            await self._identity.enrol(self._settings)
        async with channel(self._identity.home().address, self._identity.credentials) as dialled:
            stub = agent_service_pb2_grpc.AgentServiceStub(dialled)
            if self._identity.renewal_in().total_seconds() <= 0:
                await self._identity.renew(stub)
                return  # the next stream shows the new certificate
            renewing = asyncio.create_task(self._renew_in_time(stub, dialled))
            try:
                await self._talk(stub, connected)
            finally:
                renewing.cancel()

    async def _talk(self, stub: "agent_service_pb2_grpc.AgentServiceAsyncStub", connected: Callable[[], None]) -> None:
        call = stub.Connect()
        await call.write(agent_service_pb2.ConnectRequest(facts=facts()))
        await call.wait_for_connection()
        connected()
        await self._executor.serve(
            GrpcTransport(
                call,
                lambda up: call.write(agent_service_pb2.ConnectRequest(up=up)),
                lambda response: response.down,
            )
        )

    async def _renew_in_time(
        self, stub: "agent_service_pb2_grpc.AgentServiceAsyncStub", dialled: grpc.aio.Channel
    ) -> None:
        """Renew the certificate when it is time, and end the stream so that the next one shows it."""
        await asyncio.sleep(max(0.0, self._identity.renewal_in().total_seconds()))
        await self._identity.renew(stub)
        await dialled.close()


def facts() -> agent_service_pb2.DeviceFacts:
    """Return what the machine is like."""
    try:
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        system = platform.system()
    return agent_service_pb2.DeviceFacts(
        host_name=socket.gethostname(), os=system, kernel=platform.release(), agent_version=version("quell")
    )
