"""The Action Center's use cases over a real store in memory, with scripted executors, in virtual time."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from quell.actioncenter.v1 import action_pb2, action_service_pb2, investigation_pb2, investigation_service_pb2
from quell.remediation.v1 import email_pb2, evidence_pb2, remediation_pb2, verdict_pb2

from quell_actioncenter.application.actor import Actor
from quell_actioncenter.application.center import Center, ExecutorSetting, Settings
from quell_actioncenter.application.history import BEGINNING, holds
from quell_actioncenter.domain.records import ActionRecord, EventRecord
from quell_actioncenter.store.tables import ACTIONS, EVENTS
from quell_runtime import key_sets
from quell_runtime.roles import ROLES
from quell_runtime.sealing import SealKey
from quell_runtime.seams import Point, nowhere
from quell_runtime.store import Store
from quell_runtime.store.connection import InlineSqlite
from quell_runtime.store.opening import migrate
from scripted_executor import ScriptedExecutor
from virtual_time import START, VirtualClock

ROOT, CENTER = SealKey(bytes([1] * 32)), SealKey(bytes([2] * 32))
DETECTOR = Actor("xdr", frozenset())
ANN = Actor("ann", ROLES["responder"] | ROLES["approver"])
BOB = Actor("bob", ROLES["responder"] | ROLES["approver"])
ADMIN = Actor("eve", ROLES["admin"])
MALICIOUS, SUSPICIOUS = verdict_pb2.VERDICT_MALICIOUS, verdict_pb2.VERDICT_SUSPICIOUS
HARMLESS = verdict_pb2.VERDICT_NO_THREATS_FOUND
DIGEST = "ab" * 32


class SeededRng:
    """The same chance each time."""

    def __init__(self, seed: int = 1) -> None:
        """Seed it."""
        self._random = random.Random(seed)  # noqa: S311 - not a secret

    def bytes(self, count: int) -> bytes:
        """Return bytes."""
        return self._random.randbytes(count)

    def fraction(self) -> float:
        """Return a fraction."""
        return self._random.random()


class Bench:
    """A centre, its store, and its executors."""

    def __init__(self, path: Path, point: Point = nowhere) -> None:
        """Open the store at the path, new or as it was left."""
        migrate(path, "quell_actioncenter.store")
        self._connections = (InlineSqlite(path), InlineSqlite(path))
        self.clock, self.rng = VirtualClock(), SeededRng()
        self.store = Store(*self._connections, point=point, name="center")
        self.email = ScriptedExecutor(self.clock, self.rng)
        self.device = ScriptedExecutor(self.clock, self.rng, "device")
        key = key_sets.sealing_key(CENTER.public, START, timedelta(days=365))
        executors = tuple(ExecutorSetting(one.plane, one.key.key_id, one) for one in (self.email, self.device))
        settings = Settings("example", CENTER, key_sets.sealed(ROOT, "example", 1, [key]), executors)
        self.center = Center(self.store, self.clock, self.rng, settings, point=point)

    async def close(self) -> None:
        """Stop all of it."""
        await self.center.stop()
        await self.die()

    async def die(self) -> None:
        """End as a process does that is killed: nothing more is written."""
        for connection in self._connections:
            await connection.close()

    async def submit(
        self, *evidence: evidence_pb2.Evidence, number: str = "1", complete: bool = True
    ) -> investigation_pb2.Investigation:
        """Submit an investigation."""
        request = investigation_service_pb2.SubmitInvestigationRequest(
            investigation_id=number,
            investigation=investigation_pb2.Investigation(title="t"),
            evidence=evidence,
            complete=complete,
        )
        return await self.center.investigations.submit(request, DETECTOR)

    async def create(self, remediation: remediation_pb2.Remediation, actor: Actor = ANN) -> action_pb2.Action:
        """Ask for a remediation by hand."""
        request = action_service_pb2.CreateActionRequest(action_id=self.uuid(), remediation=remediation, comment="c")
        return await self.center.actions.create(request, actor)

    async def approve(self, action: action_pb2.Action, actor: Actor = BOB, vote_id: str = "") -> action_pb2.Action:
        """Approve what was seen."""
        request = action_service_pb2.ApproveActionRequest(
            name=action.name, vote_id=vote_id or self.uuid(), comment="yes", etag=action.etag
        )
        return await self.center.actions.approve(request, actor)

    async def undo(self, name: str, actor: Actor = ANN) -> action_pb2.Action:
        """Take an action back."""
        request = action_service_pb2.UndoActionRequest(name=name, undo_id=self.uuid(), comment="back")
        return await self.center.actions.undo(request, actor)

    async def action(self, name: str) -> ActionRecord:
        """Return an action as it is kept."""
        record = await self.store.load(ACTIONS, name)
        assert record is not None
        return record

    async def actions(self) -> list[ActionRecord]:
        """Return all actions, oldest first."""
        return await self.store.select(ACTIONS, "ORDER BY create_time, name")

    async def states(self) -> list[str]:
        """Return the states of all actions."""
        return [action_pb2.ActionState.Name(one.action.state)[13:] for one in await self.actions()]

    async def events(self, resource: str = "") -> list[EventRecord]:
        """Return the log, or that of one thing, oldest first; the whole of it must be chained."""
        log = await self.store.select(EVENTS, "ORDER BY number")
        before = BEGINNING
        for number, entry in enumerate(log, 1):
            assert entry.number == number
            assert holds(entry, before)
            before = entry.hash
        return [entry for entry in log if not resource or entry.resource == resource]

    async def history(self, action: str) -> list[str]:
        """Return what happened to an action."""
        return [entry.event.removeprefix("action_") for entry in await self.events(action)]

    def uuid(self) -> str:
        """Return a new id."""
        return str(uuid.UUID(bytes=self.rng.bytes(16), version=4))

    async def settle(self, seconds: float = 0.1) -> None:
        """Let things happen for a while."""
        await asyncio.sleep(seconds)


@asynccontextmanager
async def running(path: Path, point: Point = nowhere) -> AsyncIterator[Bench]:
    """Run a centre that is connected to its executors."""
    bench = Bench(path, point)
    await bench.center.start()
    await bench.settle()
    try:
        yield bench
    finally:
        await bench.close()


def block(pattern: str = "https://evil.example/login") -> remediation_pb2.Remediation:
    """Return the blocking of a URL."""
    return remediation_pb2.Remediation(block_url=email_pb2.BlockUrl(pattern=pattern))


def url(number: int = 1, verdict: int = MALICIOUS, revision: int = 0, where: str = "") -> evidence_pb2.Evidence:
    """Return evidence of a URL."""
    return evidence_pb2.Evidence(
        id=f"u{number}",
        revision=revision,
        verdict=verdict_pb2.Verdict.ValueType(verdict),
        url=evidence_pb2.UrlEvidence(url=where or f"https://evil{number}.example/login"),
    )


def file(number: int = 1, verdict: int = MALICIOUS, device: str = "", revision: int = 0) -> evidence_pb2.Evidence:
    """Return evidence of a file."""
    found = evidence_pb2.Evidence(
        id=f"f{number}",
        revision=revision,
        verdict=verdict_pb2.Verdict.ValueType(verdict),
        file=evidence_pb2.FileEvidence(sha256=DIGEST, path=f"/home/ann/{number}"),
    )
    if device:
        found.device = device
    return found
