"""One simulation: nodes, network, disks, time and chance, all of one seed."""

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quell.device.v1 import agent_service_pb2
from quell.warrant.v1 import effect_report_pb2, receipt_pb2, seal_pb2, warrant_pb2

from quell_actioncenter.domain.policy_yaml import read_policy
from quell_actioncenter.store.tables import ACTIONS, FREEZES
from quell_runtime.sealing import SealKey
from quell_runtime.store import Statement, Store
from quell_runtime.store.opening import migrate
from simulation.center_oracle import CenterOracle
from simulation.disk import Disk
from simulation.executor_oracle import ExecutorOracle
from simulation.life import Life
from simulation.lines import End, Faults, Line
from simulation.nodes import (
    AgentNode,
    CenterNode,
    EmailNode,
    ExecutorNode,
    Kinds,
    Node,
    RouterNode,
    WorkRequest,
    WorkResponse,
)
from simulation.policy import POLICY
from simulation.times import Lapse, NodeClock, SeededRng
from simulation.world import Change, World, file_key, message_key

COMMITS = {"center": 40, "router": 10, "email": 12, "agent-1": 12, "agent-2": 12}
"""In how many commits of a life it may be that it dies."""
KIT = (
    "kit.accepted",
    "kit.planned",
    "kit.applied",
    "kit.ended",
    "kit.reverted",
    "kit.fallen",
    "world.before",
    "world.after",
)
RARE = ("kit.fallen",)
"""Points that few lives pass, so that hardly any dies there; a test of its own has one die."""
OFTEN = ("center.sent", "kit.accepted", "kit.planned", "world.before")
TWICE = ("warrants", "cancels", "freeze", "key_set", "stored", "receipts", "items", "effects")
"""Messages that may come twice."""


def points_of(node: str) -> tuple[str, ...]:
    """Return the points at which a node can be made to die."""
    if node == "center":
        return ("center.decided", "center.committed", "center.sent")
    if node == "router":
        return ("router.decided", "router.committed")
    return ("journal.decided", "journal.committed", *KIT)


POINTS = sorted({point for node in COMMITS for point in points_of(node)})


@dataclass
class Counts:
    """What a simulation went through."""

    crashes: int = 0
    partitions: int = 0
    restores: int = 0
    lines: int = 0
    actions: int = 0
    changes: int = 0
    days: float = 0.0
    passed: Counter[str] = field(default_factory=Counter)
    died: Counter[str] = field(default_factory=Counter)


class Simulation:
    """Everything of one seed. It is the `House` of its nodes."""

    def __init__(self, seed: int, folder: Path, kinds: Kinds) -> None:
        """Build it; nothing lives yet."""
        self.seed = seed
        self.folder = folder
        self.counts = Counts()
        self.lapse = Lapse()
        self.violations: list[str] = []
        self.trace: list[str] = []
        self.storm = True
        self.network = self.chance("network")
        self.faults = Faults(self.network)
        self.silent: set[frozenset[str]] = set()
        self.lines: list[tuple[frozenset[str], Line]] = []
        self.clocks: dict[str, NodeClock] = {}
        self.receipts: dict[str, receipt_pb2.Receipt] = {}
        self.sent: dict[str, warrant_pb2.Warrant] = {}
        self.said: list[tuple[str, bytes]] = []
        self.known_since = float("inf")
        """Of when the copy is that the centre was restored from."""
        self._fates: dict[str, tuple[Life, str, int]] = {}
        self._build(kinds)
        self.oracle = CenterOracle(self.violated, self.receipts, read_policy(POLICY).budgets)
        self.oracles = {
            one.name: ExecutorOracle(
                self.violated, one, self.clock_of(one.name), self._frozen, self.sent, self.receipts
            )
            for one in self.executors
        }
        for one in self.executors:
            one.world.told = self._changed

    def chance(self, what: str) -> random.Random:
        """Return chance of its own for something, so that others don't change it."""
        return random.Random(f"{self.seed}/{what}")  # noqa: S311 - a simulation's

    def _build(self, kinds: Kinds) -> None:
        keys = iter(SealKey(bytes([number] * 32)) for number in range(2, 10))
        chance = self.chance("world")

        def common(name: str, package: str) -> dict[str, Any]:
            path = self.folder / f"{name}.db"
            migrate(path, package)
            return {"house": self, "name": name, "path": path, "kinds": kinds}

        world = World("email", chance, {message_key(who, "prize", 1): "INBOX" for who in ("ann", "bob")})
        self.email = EmailNode(**common("email", "quell_executor.journal"), key=next(keys), world=world)
        self.router = RouterNode(**common("router", "quell_device.store"), key=next(keys))
        for number in (1, 2):
            files = {file_key(path, name): "0644" for path, name in (("/a", "bad"), ("/b", "bad"), ("/c", "worse"))}
            world = World(f"agent-{number}", chance, {"device.network": "open", **files})
            agent = AgentNode(
                **common(f"agent-{number}", "quell_executor.journal"), key=next(keys), world=world, router=self.router
            )
            world.device = agent.device
            self.router.agents.append(agent)
        self.center = CenterNode(
            **common("center", "quell_actioncenter.store"), executors=(self.email, self.router), policy=POLICY
        )

    @property
    def executors(self) -> tuple[ExecutorNode, ...]:
        """All who change worlds."""
        return (self.email, *self.router.agents)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All processes."""
        return (self.center, self.router, *self.executors)

    def note(self, what: str) -> None:
        """Write down what happens."""
        self.trace.append(f"{self.lapse.elapsed():14.3f} {what}")

    def violated(self, invariant: int, what: str) -> None:
        """Write down that a promise was broken."""
        self.violations.append(f"invariant {invariant}: {what}")
        self.note(f"VIOLATION of {invariant}: {what}")

    def clock_of(self, name: str) -> NodeClock:
        """Return the node's clock."""
        return self.clocks.setdefault(name, NodeClock(self.lapse))

    def rng_of(self, name: str) -> SeededRng:
        """Return chance for a life of a node."""
        return SeededRng(f"{self.seed}/{name}/{self.counts.crashes}/{self.lapse.elapsed()}")

    def life_of(self, name: str) -> Life:
        """Begin a life, with a fate."""
        life = Life(name, self._passed)
        fates = self.chance(f"fate/{name}/{self.lapse.elapsed()}")
        if self.storm and fates.random() < 0.6:
            point = fates.choice(points_of(name))
            most = COMMITS[name] if point.endswith(("decided", "committed")) else 3 if point in OFTEN else 1
            self._fates[name] = (life, point, fates.randint(1, most))
        self.note(f"{name} begins")
        return life

    def _passed(self, life: Life, point: str) -> bool:
        self.counts.passed[point] += 1
        fated, where, number = self._fates.get(life.name, (None, "", 0))
        if fated is not life or where != point or not self.storm:
            return False
        self._fates[life.name] = (life, point, number - 1)
        if number > 1:
            return False
        self.counts.died[point] += 1
        self.note(f"{life.name} dies at {point}")
        return True

    def opened(self, name: str) -> None:
        """Check what a disk holds."""
        if name == "center":
            self.oracle.opened()

    def store_of(self, name: str, path: Path, life: Life) -> Store:
        """Open a store on the node's disk."""
        chance = self.chance(f"disk/{name}/{self.lapse.elapsed()}")

        def heard(writes: Sequence[Statement]) -> None:
            self.stored(name, writes)

        writer, reader = Disk(path, life, chance, heard), Disk(path, life, chance, heard)
        if self.storm and name in self.oracles and chance.random() < 0.2:
            writer.unknown = 0.05
        node = next(node for node in self.nodes if node.name == name)
        make, called = Store, name
        if node is self.center:
            make = node.kinds.center_store  # type: ignore[assignment]
        elif name in self.oracles:
            make, called = node.kinds.journal_store, "journal"  # type: ignore[assignment]
        return make(writer, reader, point=life.point, name=called)

    def stored(self, name: str, writes: Sequence[Statement]) -> None:
        """Check a commit."""
        if name == "center":
            before = {key: record.state for key, record in self.oracle.mirror.of(ACTIONS).items()}
            freeze = self.oracle.mirror.of(FREEZES).get("freeze")
            self.oracle.stored(writes)
            for key, record in self.oracle.mirror.of(ACTIONS).items():
                if before.get(key) != record.state:
                    self.note(f"{key} {record.kind} on {record.target} is {record.action.state}")
            if (now := self.oracle.mirror.of(FREEZES).get("freeze")) and now is not freeze:
                self.note(f"the freeze is now {now.status.epoch} {now.status.frozen} {list(now.status.kinds)}")
        elif name in self.oracles:
            self.oracles[name].stored(writes)

    def _changed(self, world: World, change: Change) -> None:
        self.counts.changes += 1
        self.note(f"{world.name}: {change.key} from {change.before[:12]!r} to {change.after[:12]!r} by {change.action}")
        self.oracles[world.name].changed(world, change)

    def _frozen(self, kind: str) -> bool:
        found = self.oracle.mirror.of(FREEZES).get("freeze")
        return found is not None and found.status.frozen and (not found.status.kinds or kind in found.status.kinds)

    async def pause(self, most: float) -> None:
        """Wait a while."""
        await asyncio.sleep(most * self.network.random())

    def line(self, here: Node, there: Node) -> Line | None:
        """Connect two."""
        pair = frozenset({here.name, there.name})
        if pair in self.silent or here.life is None or there.serves is None:
            return None
        line = Line(here.life, there.serves, self.faults, self.network)
        self.counts.lines += 1
        self.lines = [(names, one) for names, one in self.lines if not one.cut]
        self.lines.append((pair, line))
        if here is self.center:
            self._tap_center(there.name, line.here)
            if there is self.email:
                line.there.tap = lambda sent: self._goes_up(WorkResponse.FromString(sent))
        else:
            line.here.tap = lambda sent: self._goes_up(agent_service_pb2.ConnectRequest.FromString(sent).up)
        there.take(there.serves, line, here)  # type: ignore[attr-defined]
        return line

    def _tap_center(self, executor: str, end: End) -> None:
        def tap(sent: bytes) -> bool:
            request = WorkRequest.FromString(sent)
            if request.HasField("warrants"):
                self.said.append((executor, sent))
            for sealed in request.warrants.warrants:
                self._warrant_goes(sealed)
            return request.WhichOneof("message") in TWICE

        end.tap = tap

    def _warrant_goes(self, sealed: seal_pb2.Sealed) -> None:
        """Check that what is sent was stored before, and goes out in the same bytes each time."""
        warrant = warrant_pb2.Warrant.FromString(sealed.body)
        record = self.oracle.mirror.of(ACTIONS).get(warrant.action)
        digest = hashlib.sha256(sealed.body).digest()
        if record is None or record.warrant_digest != digest:
            self.violated(1, f"a warrant for {warrant.action} was sent that is not stored")
        self.sent[warrant.action] = warrant
        self.note(f"warrant {warrant.sequence} for {warrant.action} goes down {'back ' + warrant.undo_of}")

    def _goes_up(self, response: WorkResponse) -> bool:
        """Check that what goes up was journaled before."""
        for sealed in response.receipts.receipts:
            receipt = receipt_pb2.Receipt.FromString(sealed.body)
            self.note(f"receipt for {receipt.action}: {receipt.disposition} {receipt.outcome.effect}")
            if receipt.id not in self.receipts:
                self.violated(5, f"a receipt for {receipt.action} was sent that is not journaled")
        for sealed in response.effects.reports:
            report = effect_report_pb2.EffectReport.FromString(sealed.body)
            self.note(f"report on {report.action}: {report.event} {report.effect}")
        return response.WhichOneof("message") in TWICE
