"""An executor in a house of its own, and a centre beside it that says what a test wants it to say."""

import asyncio
import contextlib
import itertools
import random
import uuid
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from quell.executor.v1 import executor_service_pb2, plan_pb2, progress_pb2
from quell.remediation.v1 import item_pb2, remediation_pb2
from quell.warrant.v1 import effect_report_pb2, freeze_pb2, key_set_pb2, receipt_pb2, seal_pb2, warrant_pb2

from eventually import eventually
from kit_world import Files
from quell_executor.effect import Offers
from quell_executor.executor import JOURNAL, Executor
from quell_executor.settings import Seams, Settings
from quell_executor.transport import TransportClosedError
from quell_runtime.sealing import SealKey, open_seal
from quell_runtime.seams import Point, nowhere, stamp
from quell_runtime.store import Store
from quell_runtime.store.connection import InlineSqlite
from quell_runtime.store.opening import migrate

ROOT, CENTER, IDENTITY = (SealKey(bytes([number]) * 32) for number in (1, 2, 3))
DEPLOYMENT = "test"
START = datetime(2026, 1, 1, tzinfo=UTC)


class Crash(BaseException):
    """The process dies here."""


class FakeClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        """Begin."""
        self.wall = START
        self.since_boot = 1000.0

    def now(self) -> datetime:
        """Return the wall clock."""
        return self.wall

    def boot(self) -> float:
        """Return seconds since boot."""
        return self.since_boot

    def advance(self, step: timedelta) -> None:
        """Let time pass."""
        self.wall += step
        self.since_boot += step.total_seconds()


class FakeRng:
    """Chance that is the same each time."""

    def __init__(self, seed: int = 0) -> None:
        """Begin."""
        self._random = random.Random(seed)  # noqa: S311 - a test's

    def bytes(self, count: int) -> bytes:
        """Return bytes."""
        return self._random.randbytes(count)

    def fraction(self) -> float:
        """Return a fraction."""
        return self._random.random()


class Wire:
    """A transport in memory that still serialises."""

    def __init__(self, heard: "Center") -> None:
        """Bring what is said to the centre."""
        self._heard = heard
        self.down: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.cut = False

    async def send(self, message: executor_service_pb2.WorkResponse) -> None:
        """Say it."""
        if self.cut:
            raise TransportClosedError("cut")
        self._heard.hear(executor_service_pb2.WorkResponse.FromString(message.SerializeToString()))
        await asyncio.sleep(0)

    async def __aiter__(self) -> AsyncIterator[executor_service_pb2.WorkRequest]:
        """Return what comes."""
        while (message := await self.down.get()) is not None:
            yield executor_service_pb2.WorkRequest.FromString(message)


class Center:
    """What comes up, checked, and what goes down. It acknowledges nothing by itself."""

    def __init__(self, clock: FakeClock) -> None:
        """Begin."""
        self.clock = clock
        self.hellos: list[executor_service_pb2.ExecutorHello] = []
        self.accepted: list[str] = []
        self.progress: list[progress_pb2.Progress] = []
        self.receipts: list[receipt_pb2.Receipt] = []
        self.chunks: list[executor_service_pb2.ItemChunk] = []
        self.reports: list[effect_report_pb2.EffectReport] = []
        self.plans: list[plan_pb2.PlanAnswer] = []
        self.messages: list[executor_service_pb2.WorkResponse] = []
        self._sequence = itertools.count(1)

    def hear(self, message: executor_service_pb2.WorkResponse) -> None:
        """Keep what comes up."""
        self.messages.append(message)
        match message.WhichOneof("message"):
            case "hello":
                self.hellos.append(message.hello)
            case "accepted":
                self.accepted += message.accepted.actions
            case "progress":
                self.progress += message.progress.reports
            case "items":
                self.chunks += message.items.chunks
            case "plan":
                self.plans.append(message.plan)
            case "receipts":
                opened = [_open(sealed, "quell.warrant.v1.Receipt") for sealed in message.receipts.receipts]
                self.receipts += [receipt_pb2.Receipt.FromString(body) for body in opened]
            case "effects":
                opened = [_open(sealed, "quell.warrant.v1.EffectReport") for sealed in message.effects.reports]
                self.reports += [effect_report_pb2.EffectReport.FromString(body) for body in opened]

    def warrant(self, remediation: remediation_pb2.Remediation, **other: Any) -> warrant_pb2.Warrant:  # noqa: ANN401
        """Write a warrant; times may be given as `expires` and `reverts` after now, and anything as a field."""
        now = self.clock.now()
        expires = other.pop("expires", timedelta(hours=1))
        reverts = other.pop("reverts", None)
        fields = {
            "action": f"actions/{uuid.uuid4()}",
            "deployment": DEPLOYMENT,
            "executor_key": CENTER.key_id,
            "target_key": IDENTITY.key_id,
            "sequence": next(self._sequence),
            "issue_time": stamp(now),
            "expire_time": stamp(now + expires),
            **other,
        }
        found = warrant_pb2.Warrant(remediation=remediation, **fields)
        if reverts:
            found.revert_time.CopyFrom(stamp(now + reverts))
        return found

    def of(self, action: str) -> list[receipt_pb2.Receipt]:
        """Return the receipts of an action, each once."""
        return list({receipt.id: receipt for receipt in self.receipts if receipt.action == action}.values())

    def items(self, action: str) -> list[item_pb2.ItemOutcome]:
        """Return the item outcomes of an action, and check them against its receipt."""
        chunks = {chunk.index: chunk.body for chunk in self.chunks if chunk.action == action}
        bodies = [chunks[index] for index in sorted(chunks)]
        receipt = self.of(action)[0]
        assert receipt.item_chunks == len(bodies)
        assert receipt.item_digest == (sha256(b"".join(bodies)).digest() if bodies else b"")
        return [outcome for body in bodies for outcome in item_pb2.ItemOutcomes.FromString(body).outcomes]


def _open(sealed: seal_pb2.Sealed, expected: str) -> bytes:
    return open_seal(sealed, expected, lambda key_id: IDENTITY.public if key_id == IDENTITY.key_id else None)


def sealed(warrant: warrant_pb2.Warrant, by: SealKey = CENTER) -> seal_pb2.Sealed:
    """Seal a warrant."""
    return by.seal("quell.warrant.v1.Warrant", [warrant.SerializeToString()])[0]


def key_set(version: int = 1, **key: Any) -> seal_pb2.Sealed:  # noqa: ANN401 - fields of Key
    """Return the centre's keys, sealed by the root key."""
    fields = {
        "key_id": CENTER.key_id,
        "public_key": CENTER.public,
        "use": key_set_pb2.KEY_USE_SEAL,
        "not_before_time": stamp(START - timedelta(days=1)),
        "not_after_time": stamp(START + timedelta(days=365)),
        **key,
    }
    keys = key_set_pb2.KeySet(deployment=DEPLOYMENT, version=version, keys=[key_set_pb2.Key(**fields)])
    return ROOT.seal("quell.warrant.v1.KeySet", [keys.SerializeToString()])[0]


class House:
    """An executor over files and a journal on disk; it can crash and start again."""

    def __init__(self, folder: Path, settings: Settings | None = None) -> None:
        """Make the house; nobody lives in it yet."""
        self.path = folder / "journal.db"
        self.settings = settings or Settings(DEPLOYMENT, ROOT.public)
        self.clock = FakeClock()
        self.rng = FakeRng()
        self.world = Files()
        self.more: dict[str, Any] = {}
        self.center = Center(self.clock)
        self.points: list[str] = []
        self.dies_at = ""
        self.room = 1
        self._starts = itertools.count(1)
        self._serving: list[asyncio.Task[None]] = []
        self._connections: list[InlineSqlite] = []
        migrate(self.path, JOURNAL)

    def point(self, name: str) -> None:
        """Pass a point, or die there."""
        self.points.append(name)
        if name == self.dies_at:
            self.dies_at = ""
            raise Crash(name)

    async def move_in(self, point: Point | None = None) -> None:
        """Start an executor over what is on the disk."""
        point = point or self.point
        self.store = self.reopened(point)
        seams = Seams(self.clock, self.rng, point)
        self.executor = Executor(self.settings, IDENTITY, self.offers(), self.store, seams)
        await self.executor.start()

    @property
    def serving(self) -> "asyncio.Task[None]":
        """The newest conversation."""
        return self._serving[-1]

    def offers(self) -> Offers:
        """Return what is served: what works on the files, and more if a test wants it."""
        return {**self.world.offers(), **self.more}

    def reopened(self, point: Point = nowhere) -> Store:
        """Open the journal anew."""
        self._connections = [InlineSqlite(self.path), InlineSqlite(self.path)]
        writer, reader = self._connections
        return Store(writer, reader, room=lambda: self.room, reserve=1, point=point, name="journal")

    async def connect(self, *, knows: bool = True) -> Wire:
        """Open a conversation, and say what comes first."""
        wire = Wire(self.center)
        self.wire = wire
        self._serving.append(asyncio.create_task(self.executor.serve(wire)))
        self.say(hello=executor_service_pb2.CenterHello(versions=[1], deployment=DEPLOYMENT, start=next(self._starts)))
        if knows:
            self.say(key_set=key_set())
        await self.until(lambda: len(self.center.hellos) == len(self._serving) or self._serving[-1].done())
        return wire

    def say(self, **message: Any) -> None:  # noqa: ANN401 - a field of WorkRequest
        """Send something down."""
        self.wire.down.put_nowait(executor_service_pb2.WorkRequest(**message).SerializeToString())

    def send(self, *warrants: warrant_pb2.Warrant) -> None:
        """Send warrants down."""
        self.say(warrants=executor_service_pb2.Warrants(warrants=[sealed(warrant) for warrant in warrants]))

    async def until(self, so: Any, within: float = 5.0) -> None:  # noqa: ANN401 - a predicate
        """Wait until something is so."""

        async def look() -> bool:
            return bool(so())

        await eventually(look, lambda seen: seen, within)

    async def receipt(self, warrant: warrant_pb2.Warrant) -> receipt_pb2.Receipt:
        """Wait for the receipt of a warrant."""
        await self.until(lambda: self.center.of(warrant.action))
        return self.center.of(warrant.action)[-1]

    async def carry_out(self, remediation: remediation_pb2.Remediation, **other: Any) -> receipt_pb2.Receipt:  # noqa: ANN401
        """Send a warrant, and return its receipt."""
        warrant = self.center.warrant(remediation, **other)
        self.send(warrant)
        return await self.receipt(warrant)

    async def freeze(self, epoch: int, *kinds: str, frozen: bool = True) -> None:
        """Freeze, or lift it."""
        said = freeze_pb2.Freeze(
            deployment=DEPLOYMENT, epoch=epoch, frozen=frozen, kinds=kinds, issue_time=stamp(self.clock.now())
        )
        self.say(freeze=CENTER.seal("quell.warrant.v1.Freeze", [said.SerializeToString()])[0])
        await self.quiet()

    async def quiet(self, turns: int = 200) -> None:
        """Let everything that can happen now happen."""
        for _ in range(turns):
            await asyncio.sleep(0)

    async def hang_up(self) -> None:
        """End the conversations."""
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def crash(self) -> None:
        """Die: nothing more is done, and what is on the disk is what was committed."""
        await self.hang_up()
        with contextlib.suppress(Crash):
            await self.executor.stop()
        for connection in self._connections:
            await connection.close()

    def lose_journal(self, copy: bytes = b"") -> None:
        """Lose the journal while nobody lives; with an older copy of it, if there is one."""
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        if copy:
            self.path.write_bytes(copy)
        migrate(self.path, JOURNAL)

    async def again(self, point: Point | None = None) -> None:
        """Die, live again, and be called."""
        await self.crash()
        await self.move_in(point)
        await self.connect()


def stored(ids: Iterable[str]) -> executor_service_pb2.Stored:
    """Acknowledge."""
    return executor_service_pb2.Stored(ids=list(ids))
