"""One conversation: what goes up leaves by one task, in batches of what is ready."""

import asyncio
import itertools
from collections.abc import Callable, Iterable, Iterator

from quell.executor.v1 import executor_service_pb2, plan_pb2, progress_pb2

from quell_executor.authority import EFFECT_REPORT, RECEIPT
from quell_executor.journal.records import Outgoing, Sort
from quell_executor.transport import Transport
from quell_runtime.sealing import SealKey

MOST_ITEMS = 256
MOST_BYTES = 96 << 10
"""Of sealed bodies in a message: with their seals they stay below 128 KiB."""

ORDER = (Sort.ITEMS, Sort.RECEIPT, Sort.REPORT)
Up = executor_service_pb2.WorkResponse


class Session:
    """What is to be said in one conversation. Whoever has something to say never waits."""

    def __init__(self, transport: Transport, key: SealKey) -> None:
        """Take the transport, and the identity key that seals."""
        self._transport = transport
        self._key = key
        self._hello: Up | None = None
        self._accepted: list[str] = []
        self._asides: list[Up] = []
        self._progress: dict[str, progress_pb2.Progress] = {}
        self._outgoing: dict[str, Outgoing] = {}
        self._leaving: dict[str, Outgoing] = {}
        self._wake = asyncio.Event()

    def greet(self, hello: Up) -> None:
        """Say who we are, before everything else."""
        self._hello = hello
        self._wake.set()

    def accept(self, actions: Iterable[str]) -> None:
        """Say that warrants are journaled."""
        self._accepted += actions
        self._wake.set()

    def tell(self, progress: progress_pb2.Progress) -> None:
        """Say how an action goes; only the newest counts."""
        self._progress[progress.action] = progress
        self._wake.set()

    def answer(self, answers: Iterable[plan_pb2.PlanAnswer]) -> None:
        """Answer a question for a preview."""
        self._asides += [Up(plan=answer) for answer in answers]
        self._wake.set()

    def mention(self, message: Up) -> None:
        """Say something that the journal does not hold: if the conversation ends before, it was not said."""
        self._asides.append(message)
        self._wake.set()

    def send(self, rows: Iterable[Outgoing]) -> None:
        """Send what the journal holds, in its order."""
        for row in sorted(rows, key=lambda row: row.position):
            self._outgoing[row.id] = row
        self._wake.set()

    def forget(self, ids: Iterable[str]) -> None:
        """Leave out what is stored there."""
        for own_id in ids:
            self._outgoing.pop(own_id, None)
            self._leaving.pop(own_id, None)

    async def pump(self) -> None:
        """Send what is ready, for ever.

        Raises:
            TransportClosedError: The conversation is over.

        """
        while True:
            await self._wake.wait()
            self._wake.clear()
            while message := self._next():
                await self._transport.send(message)

    def _next(self) -> Up | None:
        """Return the next message, or None if there is nothing to say. Receipts overtake progress."""
        if self._hello:
            hello, self._hello = self._hello, None
            return hello
        if self._accepted:
            batch, self._accepted = self._accepted[:MOST_ITEMS], self._accepted[MOST_ITEMS:]
            return Up(accepted=executor_service_pb2.Accepted(actions=batch))
        if self._asides:
            return self._asides.pop(0)
        if self._outgoing or self._leaving:
            return self._journaled()
        if self._progress:
            newest = list(self._progress.values())[:MOST_ITEMS]
            for progress in newest:
                del self._progress[progress.action]
            return Up(progress=executor_service_pb2.ProgressReports(reports=newest))
        return None

    def _journaled(self) -> Up:
        """Return the next of what the journal holds: a batch of one sort, under one seal if it is sealed."""
        if not self._leaving:
            # The item chunks of some actions before all of their receipts, which then share a seal.
            rows = sorted(itertools.islice(self._outgoing.values(), MOST_ITEMS), key=lambda row: ORDER.index(row.sort))
            self._leaving = {row.id: self._outgoing.pop(row.id) for row in rows}
        batch = list(_batch(self._leaving.values()))
        for row in batch:
            self._progress.pop(row.action, None)
            del self._leaving[row.id]
        return _MESSAGES[batch[0].sort](self._key, [row.body for row in batch])


def _batch(rows: Iterable[Outgoing]) -> Iterator[Outgoing]:
    """Return the first rows of one sort that fit into a message."""
    first, size = None, 0
    for count, row in enumerate(rows):
        first = first or row
        size += len(row.body)
        if row is not first and (row.sort is not first.sort or count == MOST_ITEMS or size > MOST_BYTES):
            return
        yield row


def _items(_key: SealKey, bodies: list[bytes]) -> Up:
    chunks = [executor_service_pb2.ItemChunk.FromString(body) for body in bodies]
    return Up(items=executor_service_pb2.ItemChunks(chunks=chunks))


def _receipts(key: SealKey, bodies: list[bytes]) -> Up:
    return Up(receipts=executor_service_pb2.Receipts(receipts=key.seal(RECEIPT, bodies)))


def _reports(key: SealKey, bodies: list[bytes]) -> Up:
    return Up(effects=executor_service_pb2.EffectReports(reports=key.seal(EFFECT_REPORT, bodies)))


_MESSAGES: dict[Sort, Callable[[SealKey, list[bytes]], Up]] = {
    Sort.ITEMS: _items,
    Sort.RECEIPT: _receipts,
    Sort.REPORT: _reports,
}
