"""The house: a centre, an email executor, a router, and agents; each lives, dies, and lives again on its disk."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from google.protobuf.message import Message
from quell.device.v1 import agent_service_pb2
from quell.executor.v1 import executor_service_pb2
from quell.warrant.v1 import enrolment_pb2

from quell_actioncenter.application.center import Center, ExecutorSetting, Settings
from quell_actioncenter.domain.ports import Link, LinkLostError
from quell_actioncenter.signing.proofs import device_of_key
from quell_device.application.center import Center as Words
from quell_device.application.gateway import Gateway
from quell_device.application.registry import Registry
from quell_device.domain.records import DeviceRecord
from quell_device.store.tables import DEVICES
from quell_executor.executor import JOURNAL, Executor
from quell_executor.settings import Seams
from quell_executor.settings import Settings as ExecutorSettings
from quell_executor.transport import TransportClosedError
from quell_runtime import key_sets
from quell_runtime.errors import QuellError
from quell_runtime.sealing import SealKey
from quell_runtime.seams import stamp
from quell_runtime.store import Statement, Store
from quell_runtime.store.opening import migrate
from simulation.life import Life
from simulation.lines import CutError, End, Line
from simulation.times import START, NodeClock, SeededRng
from simulation.world import World

DEPLOYMENT = "simulated"
ROOT = SealKey(bytes([1] * 32))
KEEP = timedelta(days=3)
"""How long executors know what is over: not so long that no simulation sees it forgotten."""
WorkRequest = executor_service_pb2.WorkRequest
WorkResponse = executor_service_pb2.WorkResponse


class House(Protocol):
    """What nodes need of the simulation around them."""

    def life_of(self, name: str) -> Life:
        """Begin a life."""

    def clock_of(self, name: str) -> NodeClock:
        """Return the node's clock."""

    def rng_of(self, name: str) -> SeededRng:
        """Return the node's chance."""

    def stored(self, name: str, writes: Sequence[Statement]) -> None:
        """Hear of a commit."""

    def opened(self, name: str) -> None:
        """Hear that a node begins to live on what its disk holds."""

    def violated(self, invariant: int, what: str) -> None:
        """Hear of a broken promise."""

    def store_of(self, name: str, path: Path, life: Life) -> Store:
        """Open a store in a life."""

    def line(self, here: "Node", there: "Node") -> Line | None:
        """Connect two lives; None: it can't be done now."""

    async def pause(self, most: float) -> None:
        """Wait a while."""


@dataclass
class Kinds:
    """The classes that nodes are made of; planted bugs put others in their place."""

    center: Callable[..., Center] = Center
    executor: Callable[..., Executor] = Executor
    center_store: Callable[..., Store] = Store
    journal_store: Callable[..., Store] = Store


@dataclass
class Node:
    """One process on one machine."""

    house: House
    name: str
    path: Path
    kinds: Kinds
    life: Life | None = None
    lives: int = 0
    began: float = 0.0
    restored: int = 0

    def begin(self) -> None:
        """Live."""
        self.lives += 1
        self.began = asyncio.get_running_loop().time()
        self.life = self.house.life_of(self.name)
        self.house.opened(self.name)
        self.life.spawn(self._live(self.life))

    async def _live(self, life: Life) -> None:
        try:
            await self.live(life)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody else would hear of it
            self.house.violated(0, f"{self.name} can't live: {error!r}")
            life.end()

    @property
    def alive(self) -> bool:
        """Whether it lives."""
        return self.life is not None and self.life.alive

    @property
    def serves(self) -> Life | None:
        """Its life, if it is far enough to serve others."""
        return self.life if self.life is not None and self.life.alive and self.life.ready.is_set() else None

    async def live(self, life: Life) -> None:
        """Be what it is."""
        raise NotImplementedError

    def copy(self) -> bytes:
        """Return what is on its disk."""
        copy = self.path.with_suffix(".copy")
        source, target = sqlite3.connect(self.path), sqlite3.connect(copy)
        source.backup(target)
        source.close()
        target.close()
        return copy.read_bytes()

    def restore(self, copy: bytes) -> None:
        """Put an older copy in place, while it is dead; an empty one: all that it knew is lost."""
        assert not self.alive
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        self.path.write_bytes(copy)
        if not copy:
            migrate(self.path, JOURNAL)
        self.restored += 1


@dataclass
class Wire:
    """A line's end as the link of the centre: requests go, responses come."""

    end: End
    line: Line

    async def send(self, request: WorkRequest) -> None:
        """Send it."""
        try:
            await self.end.send(request.SerializeToString())
        except CutError:
            raise LinkLostError("the line is cut") from None

    async def received(self) -> AsyncIterator[WorkResponse]:
        """Yield what comes."""
        while (came := await self.end.receive()) is not None:
            yield WorkResponse.FromString(came)

    async def close(self) -> None:
        """Cut it."""
        self.line.break_off()


@dataclass
class Dialer:
    """How the centre reaches an executor."""

    house: House
    center: "CenterNode"
    executor: "Node"

    async def dial(self) -> Link:
        """Try until there is a line."""
        while True:
            await self.house.pause(1)
            line = self.house.line(self.center, self.executor)
            if line is not None:
                return Wire(line.here, line)
            await self.house.pause(10)


@dataclass
class CenterNode(Node):
    """The Action Center, and the keys that it seals with."""

    executors: Sequence["EmailNode | RouterNode"] = ()
    policy: str = ""
    center: Center | None = None
    key_sets: list[Any] = field(default_factory=list)

    def new_keys(self, now: datetime, *, revoke: bool = False) -> None:
        """Seal with a new key from the next start on."""
        key = SealKey(bytes([100 + len(self.key_sets)] * 32))
        listed = [entry for _, keys in self.key_sets[-1:] for entry in keys]
        if revoke:
            for entry in listed:
                entry.revoked = True
        listed.append(key_sets.sealing_key(key.public, now, timedelta(days=3650)))
        self.key_sets.append((key, listed))

    async def live(self, life: Life) -> None:
        """Run the Action Center."""
        key, listed = self.key_sets[-1]
        settings = Settings(
            DEPLOYMENT,
            key,
            key_sets.sealed(ROOT, DEPLOYMENT, len(self.key_sets), listed),
            tuple(ExecutorSetting(one.plane, one.key.key_id, Dialer(self.house, self, one)) for one in self.executors),
        )
        store = self.house.store_of(self.name, self.path, life)
        clock, rng = self.house.clock_of(self.name), self.house.rng_of(self.name)
        self.center = self.kinds.center(store, clock, rng, settings, point=life.point)
        await self.center.start(self.policy)
        life.ready.set()


@dataclass
class Conversation:
    """A line's end as the transport of a kit, with what wraps its messages."""

    end: End
    up: Callable[[WorkResponse], Message]
    down: Callable[[bytes], WorkRequest]

    async def send(self, message: WorkResponse) -> None:
        """Send it."""
        try:
            await self.end.send(self.up(message).SerializeToString())
        except CutError:
            raise TransportClosedError("the line is cut") from None

    async def __aiter__(self) -> AsyncIterator[WorkRequest]:
        """Yield what comes."""
        while (came := await self.end.receive()) is not None:
            yield self.down(came)


@dataclass
class ExecutorNode(Node):
    """A kit with a world."""

    key: SealKey = ROOT
    world: World = field(kw_only=True)
    executor: Executor | None = None

    async def start(self, life: Life) -> Executor:
        """Start the kit."""
        store = self.house.store_of(self.name, self.path, life)
        seams = Seams(self.house.clock_of(self.name), self.house.rng_of(self.name), life.point)
        settings = ExecutorSettings(DEPLOYMENT, ROOT.public, keep=KEEP)
        self.executor = self.kinds.executor(settings, self.key, self.world.offers(), store, seams)
        await self.executor.start()
        life.ready.set()
        return self.executor


@dataclass
class EmailNode(ExecutorNode):
    """An executor that the centre dials."""

    plane: str = "email"

    async def live(self, life: Life) -> None:
        """Run the kit."""
        await self.start(life)

    def take(self, life: Life, line: Line, _caller: Node) -> None:
        """Take a line."""
        life.spawn(self._serve(line))

    async def _serve(self, line: Line) -> None:
        assert self.executor
        try:
            await self.executor.serve(Conversation(line.there, lambda up: up, WorkRequest.FromString))
        except QuellError:
            pass
        finally:
            line.break_off()


@dataclass
class AgentNode(ExecutorNode):
    """An executor that dials the router."""

    router: "RouterNode" = field(kw_only=True)

    @property
    def device(self) -> str:
        """Its name."""
        return device_of_key(self.key.public)

    async def live(self, life: Life) -> None:
        """Run the kit, and have a line to the router."""
        executor = await self.start(life)
        while True:
            await self.house.pause(5)
            line = self.house.line(self, self.router)
            if line is None:
                await self.house.pause(20)
                continue
            conversation = Conversation(
                line.here,
                lambda up: agent_service_pb2.ConnectRequest(up=up),
                lambda came: agent_service_pb2.ConnectResponse.FromString(came).down,
            )
            try:
                await executor.serve(conversation)
            except QuellError:
                await self.house.pause(5)
            finally:
                line.break_off()


@dataclass
class RouterNode(Node):
    """The device service's gateway."""

    plane: str = "device"
    key: SealKey = ROOT
    agents: list[AgentNode] = field(default_factory=list)
    gateway: Gateway | None = None

    async def live(self, life: Life) -> None:
        """Run the gateway."""
        store = self.house.store_of(self.name, self.path, life)
        clock, rng = self.house.clock_of(self.name), self.house.rng_of(self.name)
        registry = Registry(store, clock)
        for agent in self.agents:
            await self._know(store, agent)
        await registry.begin()
        words = Words(registry, DEPLOYMENT, ROOT.public)
        await words.begin(None)
        self.gateway = Gateway(registry, words, clock, rng, self.key.public)
        life.ready.set()
        await self.gateway.presence.run()

    async def _know(self, store: Store, agent: AgentNode) -> None:
        device = agent.device.removeprefix("devices/")
        if await store.load(DEVICES, device):
            return
        statement = enrolment_pb2.Enrolment(
            device=agent.device, identity_key=agent.key.public, token_digest=bytes(32), time=stamp(START)
        )
        sealed = agent.key.seal(statement.DESCRIPTOR.full_name, [statement.SerializeToString()])[0]
        record = DeviceRecord(device, agent.key.public, sealed, (), START, START)
        await store.change(lambda view: view.put(DEVICES, record))

    def take(self, life: Life, line: Line, caller: Node) -> None:
        """Take a line: the centre's, or an agent's."""
        life.spawn(self._agent(line, caller.device) if isinstance(caller, AgentNode) else self._center(line))

    async def _center(self, line: Line) -> None:
        assert self.gateway
        await self._hold(line, self.gateway.work(_requests(line.there, WorkRequest)))

    async def _agent(self, line: Line, device: str) -> None:
        assert self.gateway
        requests = _requests(line.there, agent_service_pb2.ConnectRequest)
        await self._hold(line, self.gateway.connect(device.removeprefix("devices/"), requests))

    async def _hold(self, line: Line, responses: AsyncIterator[Any]) -> None:
        try:
            async for response in responses:
                await line.there.send(response.SerializeToString())
        except (QuellError, CutError):
            pass
        finally:
            line.break_off()
            await responses.aclose()  # type: ignore[attr-defined]


async def _requests(end: End, kind: type[Any]) -> AsyncIterator[Any]:
    while (came := await end.receive()) is not None:
        yield kind.FromString(came)
