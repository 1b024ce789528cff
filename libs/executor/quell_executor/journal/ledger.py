"""The journal's ground: its time, its ids, what the executor knows, and how a receipt is written down.

Decisions draw ids and positions themselves: one that the store runs again draws others, and only the last count.
"""

import asyncio
import hashlib
import itertools
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from quell.executor.v1 import executor_service_pb2
from quell.remediation.v1 import failure_pb2, outcome_pb2, remediation_pb2
from quell.warrant.v1 import effect_report_pb2, freeze_pb2, key_set_pb2, receipt_pb2, seal_pb2

from quell_executor.authority import newer_freeze, newer_key_set
from quell_executor.clock import ExecutorTime
from quell_executor.journal.records import (
    DEAD_MEN,
    KNOWN,
    ORDERS,
    OUTGOING,
    SNAPSHOTS,
    Known,
    Outgoing,
    Snapshot,
    Sort,
    Stage,
)
from quell_executor.settings import Seams, Settings
from quell_executor.transport import CenterOutdatedError
from quell_runtime.errors import CommitUnknownError, FullError
from quell_runtime.seams import new_uuid, stamp, when
from quell_runtime.store import Query, Store, Table, View, replace

R = TypeVar("R")
Place = tuple[Table[Any], str | int]
AGAIN = 1.0
"""Seconds until the store is asked again when it could not say whether it stored, or had no room."""


class Ledger:
    """What every part of the journal stands on."""

    def __init__(self, store: Store, settings: Settings, seams: Seams) -> None:
        """Take the store; `load` reads it."""
        self.store = store
        self.time = ExecutorTime(seams.clock)
        self.key_set: key_set_pb2.KeySet | None = None
        self.freeze: freeze_pb2.Freeze | None = None
        self._settings = settings
        self._rng = seams.rng
        self._positions = itertools.count(1)
        self.rebooted = False
        """Whether the machine has started since the last life wrote its last: what does not outlive that is gone."""
        self._frozen_anew = asyncio.Event()
        self.doubted = asyncio.Event()
        """Set when something was stored that nobody was told of: the rows must be looked at."""

    async def load(self) -> None:
        """Read what was known at the end of the last life."""
        known = await self.store.load(KNOWN, 1) or Known()
        ((row,),) = await self.store.read([Query("SELECT coalesce(max(position), 0) + 1 FROM outgoing")])
        self._positions = itertools.count(int(row[0] or 1))
        self.rebooted = self.time.own() - timedelta(seconds=self.time.boot()) > known.time
        self.time.saw_sealed(known.sealed_time)
        self.time.saw_journaled(known.time)
        if known.key_set:
            self.key_set = key_set_pb2.KeySet.FromString(known.key_set.body)
        if known.freeze:
            self.freeze = freeze_pb2.Freeze.FromString(known.freeze.body)

    async def durably(self, decide: Callable[[View], R], reads: Sequence[Place] = (), *, urgent: bool = True) -> R:
        """Have a decision stored, however long that takes. It sees by the rows whether an earlier try was stored.

        `reads` are rows that it will look at, besides what is known.

        Raises:
            FullError: It is not urgent, and there is no room.

        """
        doubtful = False
        while True:
            try:
                found = await self.store.change(decide, [(KNOWN, 1), *reads], urgent=urgent)
            except CommitUnknownError:
                doubtful = True
                await asyncio.sleep(AGAIN)
            except FullError:
                if not urgent:
                    raise
                await asyncio.sleep(AGAIN)
            else:
                if doubtful:
                    self.doubted.set()
                return found

    async def learn_key_set(self, sealed: seal_pb2.Sealed) -> None:
        """Take a key set that is newer than ours.

        Raises:
            SealInvalidError: It isn't sealed by the pinned root key for this deployment.

        """
        if found := newer_key_set(sealed, self.key_set, self._settings):
            # It counts at once: nothing is begun by a key that it revokes while it is being written.
            self.key_set = found
            await self.durably(lambda view: self._know(view, key_set=sealed))

    async def learn_freeze(self, sealed: seal_pb2.Sealed) -> None:
        """Take a freeze, or its end, that is newer than ours.

        Raises:
            SealInvalidError: It isn't sealed by the centre for this deployment.

        """
        if found := newer_freeze(sealed, self.freeze, self.key_set, self._settings):
            self.time.saw_sealed(when(found.issue_time))
            self.freeze = found
            await self.durably(lambda view: self._know(view, freeze=sealed))
            self._frozen_anew.set()
            self._frozen_anew = asyncio.Event()

    def frozen(self, kind: str) -> bool:
        """Tell whether effects of a kind may not be begun."""
        return bool(self.freeze and self.freeze.frozen and (not self.freeze.kinds or kind in self.freeze.kinds))

    async def thaw(self, kind: str, expire_time: datetime) -> None:
        """Wait until effects of the kind may be begun, or until it is too late."""
        while self.frozen(kind) and (left := (expire_time - self.time.now()).total_seconds()) > 0:
            try:
                async with asyncio.timeout(left):
                    await self._frozen_anew.wait()
            except TimeoutError:
                return

    async def met_center(self, start: int) -> None:
        """Note the start number of the centre that we speak with.

        Raises:
            CenterOutdatedError: One that started later was here.

        """

        def decide(view: View) -> None:
            if start < (view.get(KNOWN, 1) or Known()).center_start:
                raise CenterOutdatedError("an Action Center that started later was here")
            self._know(view, center_start=start)

        await self.durably(decide)

    def _know(self, view: View, **news: seal_pb2.Sealed | int) -> None:
        """Write down what is new, and how late it is."""
        known = view.get(KNOWN, 1) or Known()
        time, sealed_time = max(known.time, self.time.now()), max(known.sealed_time, self.time.sealed)
        self.time.saw_journaled(time)
        view.put(KNOWN, replace(known, time=time, sealed_time=sealed_time, **news))  # type: ignore[arg-type]

    def new_id(self) -> str:
        """Return a new id."""
        return new_uuid(self._rng)

    def _send(self, view: View, action: str, sort: Sort, body: bytes, own_id: str) -> str:
        view.put(OUTGOING, Outgoing(own_id, action, sort, next(self._positions), body))
        return own_id

    def _receipt(self, view: View, receipt: receipt_pb2.Receipt, digest: str, own_id: str) -> str:
        """Write down a receipt for one body."""
        own = receipt_pb2.Receipt(id=own_id, warrant_digest=bytes.fromhex(digest), time=stamp(self.time.now()))
        own.MergeFrom(receipt)
        return self._send(view, receipt.action, Sort.RECEIPT, own.SerializeToString(), own_id)

    def _answer(self, view: View, receipt: receipt_pb2.Receipt, chunks: Sequence[bytes] = ()) -> None:
        """End an action: its item chunks, then its receipt for each body that came."""
        order = view.need(ORDERS, receipt.action)
        ids = [self._chunk(view, order.action, index, body) for index, body in enumerate(chunks)]
        ids += [self._receipt(view, receipt, digest, self.new_id()) for digest in order.digests]
        view.put(ORDERS, replace(order, stage=Stage.ENDED, answers=tuple(ids)))
        self._know(view)

    def _chunk(self, view: View, action: str, index: int, body: bytes) -> str:
        chunk = executor_service_pb2.ItemChunk(id=self.new_id(), action=action, index=index, body=body)
        return self._send(view, action, Sort.ITEMS, chunk.SerializeToString(), chunk.id)

    async def answer(self, receipt: receipt_pb2.Receipt) -> None:
        """End an action that was not begun, if it has not ended."""

        def decide(view: View) -> None:
            order = view.get(ORDERS, receipt.action)
            if order and order.stage is not Stage.ENDED:
                self._answer(view, receipt)

        await self.durably(decide)

    async def stored(self, ids: Sequence[str]) -> None:
        """Note what need not be sent again: receipts are kept for a warrant that comes again, reports are not.

        A receipt that is stored there has come through whatever its action did to the network.
        """

        def decide(view: View) -> None:
            rows = [row for sent in ids if (row := view.get(OUTGOING, sent))]
            view.expect((DEAD_MEN, row.action) for row in rows)
            for row in rows:
                if row.sort is Sort.REPORT:
                    view.drop(OUTGOING, row.id)
                elif not row.stored:
                    view.put(OUTGOING, replace(row, stored=True))
                    self._heard(view, row)

        await self.durably(decide, [(OUTGOING, sent) for sent in ids])

    @staticmethod
    def _heard(view: View, row: Outgoing) -> None:
        waiting = view.get(DEAD_MEN, row.action)
        if row.sort is Sort.RECEIPT and waiting and not waiting.begun:
            view.drop(DEAD_MEN, row.action)

    async def unsent(self) -> list[Outgoing]:
        """Return what goes up and is not known to be stored there, in order."""
        return await self.store.select(OUTGOING, "WHERE stored = 0 ORDER BY position")

    def _report(
        self,
        view: View,
        subject: str | remediation_pb2.Remediation,
        event: effect_report_pb2.EffectEvent.ValueType,
        effect: outcome_pb2.EffectState.ValueType,
        failure: failure_pb2.Failure | None = None,
    ) -> str:
        """Write down what happened to an effect after its receipt; return the report's id.

        The subject is the action, or what was inherited.
        """
        # A report is never older than the one before, whatever happens to the clock in between.
        self._know(view)
        own_id, time = self.new_id(), stamp(self.time.now())
        report = effect_report_pb2.EffectReport(id=own_id, event=event, effect=effect, failure=failure, time=time)
        if isinstance(subject, str):
            report.action = subject
        else:
            report.inherited.CopyFrom(subject)
        return self._send(view, report.action, Sort.REPORT, report.SerializeToString(), own_id)

    async def keep_snapshot(self, items: bytes, keep_time: datetime) -> bytes:
        """Keep a resolved list, forget those that nobody needs any more, and return its digest."""
        digest = hashlib.sha256(items)
        tail = "WHERE keep_time < ? AND digest NOT IN (SELECT snapshot FROM warrants WHERE stage <> 'ended')"
        over = await self.store.select(SNAPSHOTS, tail, (int(self.time.now().timestamp() * 1_000_000),))

        def decide(view: View) -> None:
            for old in over:
                view.drop(SNAPSHOTS, old.digest)
            known = view.get(SNAPSHOTS, digest.hexdigest())
            later = max(keep_time, known.keep_time) if known else keep_time
            view.put(SNAPSHOTS, Snapshot(digest.hexdigest(), items, later))

        await self.store.change(decide)
        return digest.digest()


def refusal_id(digest: str) -> str:
    """Return the id of the refusal of one body: the same bytes are refused once, however often they come."""
    return str(uuid.UUID(bytes=hashlib.sha256(f"refused {digest}".encode()).digest()[:16], version=4))
