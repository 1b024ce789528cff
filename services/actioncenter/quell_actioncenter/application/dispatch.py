"""One executor's conversation: what goes down was sealed and kept before, what comes up is kept, then acknowledged.

The outbox is the truth; what stands here in memory is filled from it, and is lost without harm.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import structlog
from quell.actioncenter.v1 import action_pb2, control_service_pb2
from quell.executor.v1 import executor_service_pb2, progress_pb2, target_report_pb2
from quell.warrant.v1 import seal_pb2

from quell_actioncenter.application import accesses, history
from quell_actioncenter.application.absence import Absence
from quell_actioncenter.application.answers import Executor
from quell_actioncenter.application.book import Book, touched
from quell_actioncenter.application.claims import FREEZE, Claims, frozen
from quell_actioncenter.application.desk import Desk
from quell_actioncenter.application.ready import Ready
from quell_actioncenter.application.reports import Reports
from quell_actioncenter.application.setting import ExecutorSetting, House
from quell_actioncenter.domain.lifecycle import State
from quell_actioncenter.domain.ports import Link, LinkLostError
from quell_actioncenter.domain.records import ExecutorRecord, OutboxRecord
from quell_actioncenter.store.tables import EXECUTORS, FREEZES, OUTBOX, TARGETS
from quell_runtime import times
from quell_runtime.sealing import key_id_of
from quell_runtime.store import Change

_log = structlog.get_logger()
WorkRequest = executor_service_pb2.WorkRequest
VERSION = 1
BATCH = 256
BATCH_BYTES = 768 << 10
WINDOW = 1000
GRACE_S = 2.0
"""How long a stream may be missing before what is decided is shown as waiting for its target."""
HELLO_S = 10.0
PAUSE_S = 1.0
RETRY_S = 0.2
"""Between a stream's end and the next try, so that one that ends at once is not opened without a pause."""
CONNECTED = target_report_pb2.TARGET_STATE_CONNECTED


class Dispatcher:
    """Talks to one executor for as long as it runs, over one stream after the other."""

    def __init__(self, desk: Desk, house: House, setting: ExecutorSetting) -> None:
        """Talk to this executor."""
        self._desk = desk
        self._house = house
        self._setting = setting
        self._absence = Absence(desk, setting.plane)
        self._ready = Ready()
        self._open = False
        self._say: deque[WorkRequest] = deque()
        self._cancels: list[str] = []
        self._wake = asyncio.Event()
        self._loading: list[set[str]] = []
        self._freeze: control_service_pb2.FreezeStatus | None = None
        self._window = WINDOW

    @property
    def connected(self) -> bool:
        """Whether there is a stream now."""
        return self._open

    def say(self, request: WorkRequest) -> bool:
        """Queue a message for the executor; False: there is no stream."""
        if self._open:
            self._say.append(request)
            self._wake.set()
        return self._open

    async def run(self) -> None:
        """Dial and talk until cancelled."""
        stop = self._desk.store.listen(self._changed)
        keeping = asyncio.create_task(self._absence.run())
        try:
            while True:
                link = await self._dialled()
                try:
                    await self._converse(link)
                except LinkLostError as error:
                    _log.info("link_lost", plane=self._setting.plane, why=error.message)
                except Exception:  # noqa: BLE001 - whatever it is, talking goes on
                    # What failed here was not acknowledged: on a new stream it comes again.
                    _log.exception("link_failed", plane=self._setting.plane)
                    await asyncio.sleep(PAUSE_S)
                finally:
                    self._lose()
                    await link.close()
                await asyncio.sleep(RETRY_S)
        finally:
            stop()
            keeping.cancel()

    async def _dialled(self) -> Link:
        dialing = asyncio.create_task(self._setting.dialer.dial())
        try:
            done, _ = await asyncio.wait({dialing}, timeout=GRACE_S)
            if not done:
                await self._absence.all_away()
            return await dialing
        finally:
            dialing.cancel()

    def _lose(self) -> None:
        self._open = False
        self._ready = Ready()
        self._say.clear()
        self._cancels.clear()
        self._house.plans.lost(self._setting.plane)

    async def _converse(self, link: Link) -> None:
        """Greet, then send and receive at once until either ends."""
        hello = executor_service_pb2.CenterHello(
            versions=[VERSION], deployment=self._house.seals.deployment, start=self._house.start
        )
        await link.send(WorkRequest(hello=hello))
        received = aiter(link.received())
        executor = await self._greeted(received)
        await self._fill()
        tasks = {
            asyncio.create_task(self._send(link, Claims(self._house.seals, executor))),
            asyncio.create_task(self._receive(received, Reports(self._desk, executor))),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _greeted(self, received: AsyncIterator[executor_service_pb2.WorkResponse]) -> Executor:
        """Hear the executor's hello, and hold its key against the configuration."""
        try:
            async with asyncio.timeout(HELLO_S):
                response = await anext(received)
        except (StopAsyncIteration, TimeoutError):
            raise LinkLostError("it said no hello") from None
        hello = response.hello
        if response.WhichOneof("message") != "hello" or hello.version != VERSION:
            await asyncio.sleep(PAUSE_S)
            raise LinkLostError("it speaks another protocol")
        if key_id_of(hello.identity_key) != self._setting.fingerprint:
            _log.error("executor_key_refused", plane=self._setting.plane, key=key_id_of(hello.identity_key).hex())
            await asyncio.sleep(PAUSE_S)
            raise LinkLostError("its identity key is not the one that is configured")
        self._window = hello.window or WINDOW
        await self._know(hello)
        return Executor(self._setting.plane, hello.identity_key)

    async def _know(self, hello: executor_service_pb2.ExecutorHello) -> None:
        kinds = tuple(kind.name for kind in hello.kinds if not kind.missing)
        told = ExecutorRecord(self._setting.plane, hello.identity_key, kinds)

        def work(book: Book) -> None:
            if book.view.get(EXECUTORS, told.plane) != told:
                book.view.put(EXECUTORS, told)
                history.append(book.view, book.now, told.plane, "executor_changed", f"executors/{told.plane}")

        await self._desk.decide(work, [(EXECUTORS, told.plane)])

    async def _fill(self) -> None:
        """Open the queue with what has no receipt; who was there last is taken as there until told gone."""
        there = await self._desk.store.select(TARGETS, "WHERE state = ?", (CONNECTED,))
        freeze = await self._desk.store.load(FREEZES, FREEZE)
        self._ready.there.update(target.name for target in there)
        self._open = True
        self._absence.down = False
        self._say.append(WorkRequest(key_set=self._house.seals.key_set))
        self._freeze = freeze.status if freeze else None
        if freeze and freeze.sealed:
            self._say.append(WorkRequest(freeze=seal_pb2.Sealed.FromString(freeze.sealed)))
        self._take(await self._load("WHERE plane = ?", (self._setting.plane,)))
        await self._absence.forsaken()

    async def _load(self, tail: str, parameters: Sequence[str]) -> list[OutboxRecord]:
        """Read rows of the outbox; those that change meanwhile are heard of by `_changed`, and are newer there."""
        touched: set[str] = set()
        self._loading.append(touched)
        try:
            rows = await self._desk.store.select(OUTBOX, tail, parameters)
        finally:
            self._loading.remove(touched)
        return [row for row in rows if row.action not in touched]

    def _changed(self, changes: Sequence[Change[Any]]) -> None:
        """Hear of a commit."""
        for change in changes:
            if change.table is OUTBOX:
                self._row_changed(change)
            elif change.table is FREEZES and change.after is not None:
                self._freeze = change.after.status
                self._ready.thaw()
                self.say(WorkRequest(freeze=seal_pb2.Sealed.FromString(change.after.sealed)))
        self._wake.set()

    def _row_changed(self, change: Change[OutboxRecord]) -> None:
        row = change.after or change.before
        for heard in self._loading:
            heard.add(str(change.key))
        if change.after is None:
            self._ready.drop(str(change.key))
            self._house.progress.pop(str(change.key), None)
        elif row is not None and row.plane == self._setting.plane:
            self._take([row])

    def _take(self, rows: Iterable[OutboxRecord]) -> None:
        """Queue what can be sent on this stream; the rest waits, and is shown so."""
        for row in rows:
            if self._open and self._ready.is_there(row):
                self._ready.put(row)
                if row.cancel and self._ready.is_on_wire(row.action):
                    self._cancels.append(row.action)
            elif self._open or self._absence.down:
                self._absence.note(row)
        self._wake.set()

    async def _send(self, link: Link, claims: Claims) -> None:
        """Send what is said and what is ready: the stream's one writer."""
        while True:
            self._wake.clear()
            while self._say:
                await link.send(self._say.popleft())
            if self._cancels:
                most, self._cancels = self._cancels[:BATCH], self._cancels[BATCH:]
                await link.send(WorkRequest(cancels=executor_service_pb2.Cancels(actions=most)))
                continue
            room = min(BATCH, self._window - len(self._ready))
            batch = self._ready.take(room, lambda row: bool(row.sealed) or not frozen(self._freeze, row))
            if batch:
                await self._deliver(link, claims, batch)
            else:
                await self._wake.wait()

    async def _deliver(self, link: Link, claims: Claims, batch: Sequence[OutboxRecord]) -> None:
        """Claim what is not yet sealed, then send all of the batch that is, in messages that are not too large."""
        fresh = [row.action for row in batch if not row.sealed]
        if fresh:
            reads = [*touched(fresh), (FREEZES, FREEZE), *((TARGETS, row.device) for row in batch if row.device)]
            await self._desk.decide(lambda book: claims.claim(book, self._desk.in_force, fresh), reads, urgent=True)
        sealed: list[seal_pb2.Sealed] = []
        size = 0
        for row in batch:
            kept = self._ready.rows.get(row.action)
            if kept is None or not kept.sealed:
                self._ready.refused(row)
                continue
            if sealed and size + len(kept.sealed) > BATCH_BYTES:
                await self._hand(link, sealed)
                sealed, size = [], 0
            sealed.append(seal_pb2.Sealed.FromString(kept.sealed))
            size += len(kept.sealed)
            if kept.cancel:
                self._cancels.append(row.action)
        if sealed:
            await self._hand(link, sealed)

    async def _hand(self, link: Link, sealed: Sequence[seal_pb2.Sealed]) -> None:
        await link.send(WorkRequest(warrants=executor_service_pb2.Warrants(warrants=sealed)))
        self._house.point("center.sent")

    async def _receive(self, received: AsyncIterator[executor_service_pb2.WorkResponse], reports: Reports) -> None:
        """Take what comes up, one message after the other: what belongs to a receipt comes before it."""
        async for response in received:
            stored = await self._heard(response, reports)
            if stored:
                self.say(WorkRequest(stored=executor_service_pb2.Stored(ids=stored)))
        raise LinkLostError("the stream ended")

    async def _heard(self, response: executor_service_pb2.WorkResponse, reports: Reports) -> Sequence[str]:
        """Handle one message and return the ids that are stored by then."""
        match response.WhichOneof("message"):
            case "receipts":
                return await reports.receipts(response.receipts.receipts)
            case "items":
                return await reports.items(response.items.chunks)
            case "effects":
                return await reports.effects(response.effects.reports)
            case "targets":
                for target, state in (await reports.targets(response.targets.reports)).items():
                    await self._target(target, state)
                return [report.id for report in response.targets.reports]
            case "progress":
                await self._progress(response.progress.reports, reports)
            case "accesses":
                return await accesses.take(self._desk, self._setting.plane, response.accesses.accesses)
            case "plan":
                self._house.plans.heard(response.plan)
        return ()

    async def _target(self, name: str, state: int) -> None:
        """Queue what a target that has come has not answered, or wait for one that has gone."""
        gone = self._ready.left(name)
        if state == CONNECTED:
            self._ready.there.add(name)
            self._take(await self._load("WHERE device = ?", (name,)))
        elif state == target_report_pb2.TARGET_STATE_AWAY:
            self._take(gone)
        else:
            await self._absence.lost(name, state)

    async def _progress(self, progress: Sequence[progress_pb2.Progress], reports: Reports) -> None:
        known = [
            (row, one) for one in progress if (row := self._ready.rows.get(one.action)) and not times.impossible(one)
        ]
        for row, one in known:
            percent = one.percent if one.HasField("percent") else None
            self._house.progress[row.action] = action_pb2.Progress(percent=percent, message=one.message, time=one.time)
        begun = [one for row, one in known if row.state == State.DISPATCHED]
        if begun:
            await reports.running(begun)
