"""A gRPC listener: hardened, with health and reflection, and a clean end.

A process has one `Server` for each listener, since limits hold for a whole server: people must reach theirs however
busy agents keep the other.
"""

import asyncio
import resource
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

import grpc
import structlog
from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from quell_runtime import addresses, metrics, reflection, tls
from quell_runtime.config import Listener, Loopback, ServerTls, Settings
from quell_runtime.errors import NotServedError, PortTakenError
from quell_runtime.interceptors.access import Access, Enrolment, Gate, LocalHealth
from quell_runtime.interceptors.shell import Shell
from quell_runtime.people import People
from quell_runtime.program import ready
from quell_runtime.seams import Clock, SystemClock

AGE = timedelta(hours=1)
"""How old a connection may grow; a quarter of a certificate's life if that is less, as gRPC never looks again."""
GRACE = timedelta(seconds=60)
"""How long calls go on after that: as long as a unary call can take. Streams are cut then, and resumed."""
SETTLE_S = 5.0
"""How long a listener that ends says so to those who balance load, before it refuses."""

_log = structlog.get_logger()
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one listener lets through."""

    streams: int
    """How many calls one connection may have at once."""
    message_bytes: int
    connections: int
    calls_per_caller: int
    """How many calls one identity may have under way, over all its connections."""
    age: timedelta = AGE
    """How old a connection may grow: a quarter of its callers' certificates' life at most."""
    pending: int = 4096
    """How many calls may wait to be looked at; at gRPC's default thousands that come at once hang."""


API = Limits(streams=64, message_bytes=4 << 20, connections=512, calls_per_caller=256)
AGENTS = Limits(streams=16, message_bytes=256 << 10, connections=20_000, calls_per_caller=16, pending=32_768)
ENROLMENT = Limits(streams=4, message_bytes=64 << 10, connections=256, calls_per_caller=4)
ADMIN = Limits(streams=16, message_bytes=4 << 10, connections=16, calls_per_caller=16)
FILES = 256
"""File descriptors that connections leave free."""


def _options(limits: Limits, age: timedelta) -> list[tuple[str, int]]:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    connections = max(16, min(limits.connections, files - FILES))
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.max_concurrent_streams", limits.streams),
        # It refuses streams of honest callers too, as long as earlier ones are being put away; the limit above is what
        # keeps floods of resets from others' calls.
        ("grpc.http.overload_protection", 0),
        ("grpc.max_receive_message_length", limits.message_bytes),
        ("grpc.max_allowed_incoming_connections", connections),
        ("grpc.server.max_pending_requests", limits.pending),
        ("grpc.server.max_pending_requests_hard_limit", 2 * limits.pending),
        ("grpc.max_connection_age_ms", round(age / timedelta(milliseconds=1))),
        ("grpc.max_connection_age_grace_ms", round(GRACE / timedelta(milliseconds=1))),
        ("grpc.http2.min_ping_interval_without_data_ms", 60_000),
        ("grpc.http2.max_ping_strikes", 1),
        ("grpc.keepalive_time_ms", 120_000),
        ("grpc.keepalive_timeout_ms", 20_000),
    ]


class Server:
    """One listener and what it serves. `add` everything, `start`, and in the end `drain`."""

    def __init__(
        self,
        listener: ServerTls | Loopback,
        limits: Limits,
        deployment: str,
        people: People,
        *,
        clock: Clock | None = None,
    ) -> None:
        """Make it. What kind of listener it is decides who may call: see `config`."""
        self._listener = listener
        gate: Gate = LocalHealth()
        if isinstance(listener, Listener):
            gate = Access(deployment, people, clock or SystemClock())
        elif isinstance(listener, ServerTls):
            gate = Enrolment()
        self._shell = Shell(gate, limits.calls_per_caller)
        age = limits.age
        if isinstance(listener, ServerTls):
            age = min(age, tls.life(listener.certificate) / 4)
        self._server = grpc.aio.server(interceptors=[self._shell], options=_options(limits, age))
        self._health = health.aio.HealthServicer()
        self._names: list[str] = [health.SERVICE_NAME]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self.port = 0

    def add(self, register: Callable[[S, grpc.aio.Server], None], servicer: S) -> None:
        """Serve a service: `add(url_service_pb2_grpc.add_UrlServiceServicer_to_server, servicer)`."""
        register(servicer, cast("grpc.aio.Server", _Noting(self._server, self._names)))

    def add_unserved(self, *contracts: FileDescriptor) -> None:
        """Have the services of contracts answer UNIMPLEMENTED, with its reason, to those who may call them."""
        for service in (each for contract in contracts for each in contract.services_by_name.values()):
            self._server.add_generic_rpc_handlers((unserved(service),))
            self._names.append(service.full_name)

    async def tell(self, part: str, *, works: bool) -> None:
        """Tell, by the health service, how a part of the process is that is no service of a contract."""
        states = health_pb2.HealthCheckResponse
        await self._health.set(part, states.SERVING if works else states.NOT_SERVING)

    async def start(self) -> None:
        """Listen.

        Raises:
            PortTakenError: Somebody else does.

        """
        if isinstance(self._listener, Listener):
            reflection.add(self._names, self._server)
        self.port = self._listen(self._listener.listen)
        for name in self._names:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        await self._server.start()
        _log.info("listening", address=self._listener.listen.host, port=self.port)

    def _listen(self, address: addresses.Address) -> int:
        credentials = tls.credentials(self._listener) if isinstance(self._listener, ServerTls) else None
        try:
            # Tried first by ourselves: gRPC says more of a port that is taken on stderr than anybody can read.
            family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
            socket.create_server((address.host, address.port), family=family).close()
            if credentials is None:
                return self._server.add_insecure_port(str(address))
            return self._server.add_secure_port(str(address), credentials)
        except (OSError, RuntimeError):
            raise PortTakenError(
                f"{address} can't be listened on: another process does, or the address is not this machine's"
            ) from None

    async def drain(self, *, settle_s: float = SETTLE_S, grace_s: float = 30.0) -> None:
        """Say that the end is near, wait `settle_s` if somebody is there, cut streams, give calls `grace_s` to end."""
        await self._health.enter_graceful_shutdown()
        if self._shell.busy:
            await asyncio.sleep(settle_s)
        self._shell.cut_streams()
        await self._server.stop(grace_s)
        _log.info("drained", port=self.port)


@asynccontextmanager
async def serving(settings: Settings, people: People, *servers: Server) -> AsyncIterator[None]:
    """Start a process's listeners, with those for its supervisor, say that it is ready, and drain them in the end."""
    started: list[Server] = []
    local = [Server(settings.admin, ADMIN, settings.deployment, people)] if settings.admin else []
    with metrics.served(settings.metrics.listen) if settings.metrics else nullcontext():
        try:
            for server in (*servers, *local):
                await server.start()
                started.append(server)
            ready()
            yield
        finally:
            await asyncio.gather(*(server.drain(settle_s=settings.drain_s) for server in started))


class _Noting:
    """Passes registrations on, and notes the services' names."""

    def __init__(self, server: grpc.aio.Server, names: list[str]) -> None:
        self._server = server
        self._names = names

    def add_generic_rpc_handlers(self, handlers: tuple[grpc.GenericRpcHandler, ...]) -> None:
        self._server.add_generic_rpc_handlers(handlers)

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: "Mapping[str, grpc.RpcMethodHandler[Any, Any]]"
    ) -> None:
        self._names.append(service_name)
        self._server.add_registered_method_handlers(service_name, method_handlers)


def unserved(service: ServiceDescriptor) -> grpc.GenericRpcHandler:
    """Return a handler that says of each RPC of a service that this version does not serve it."""

    async def refuse(_request: object, _context: object) -> None:
        raise NotServedError(f"{service.full_name} is in the contract, and not served by this version yet")

    return grpc.method_handlers_generic_handler(
        service.full_name,
        {
            method.name: grpc.stream_stream_rpc_method_handler(refuse)
            if method.client_streaming or method.server_streaming
            else grpc.unary_unary_rpc_method_handler(refuse)
            for method in service.methods
        },
    )
