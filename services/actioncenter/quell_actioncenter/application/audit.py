"""The audit log, read and checked: every entry is as it was written, and goes on from the one before."""

from collections.abc import AsyncIterator, Sequence

from quell.actioncenter.v1 import audit_service_pb2

from quell_actioncenter.application.history import BEGINNING, CHAIN, holds
from quell_actioncenter.domain.errors import EntryUnknownError
from quell_actioncenter.domain.records import EventRecord
from quell_actioncenter.store.tables import COUNTERS, EVENTS
from quell_runtime.store import Store

READ = 500
"""Entries at a time."""


class Audit:
    """The use cases of `AuditService`."""

    def __init__(self, store: Store) -> None:
        """Read from the store."""
        self._store = store

    async def verify(self, first: int, last: int) -> audit_service_pb2.VerifyAuditResponse:
        """Compute the chain from one number to another again; 0 stands for the oldest and for the newest.

        Raises:
            EntryUnknownError: There is no entry of one of the numbers.

        """
        counter = await self._store.load(COUNTERS, CHAIN)
        newest = counter.value if counter else 0
        first, last = first or 1, last or newest
        if not first <= last <= newest and (first, last) != (1, 0):
            raise EntryUnknownError(f"the log has the entries 1 to {newest}")
        answer = audit_service_pb2.VerifyAuditResponse(hash=await self._hash_of(first - 1))
        async for entries in self.entries(first, last):
            for entry in entries:
                if entry.number != first + answer.checked or not holds(entry, answer.hash):
                    answer.broken = first + answer.checked
                    return answer
                answer.checked += 1
                answer.hash = entry.hash
        if first + answer.checked <= last or (last == newest and counter and answer.hash != counter.digest):
            answer.broken = first + answer.checked
        return answer

    async def export(self, first: int) -> AsyncIterator[Sequence[EventRecord]]:
        """Yield every entry from a number on, some at a time.

        Raises:
            EntryUnknownError: There is none of that number, nor is it the next.

        """
        counter = await self._store.load(COUNTERS, CHAIN)
        newest = counter.value if counter else 0
        if first > newest + 1:
            raise EntryUnknownError(f"the log has the entries 1 to {newest}")
        async for entries in self.entries(first or 1, newest):
            yield entries

    async def entries(self, first: int, last: int) -> AsyncIterator[Sequence[EventRecord]]:
        """Yield what is kept from one number to another, in order, some at a time."""
        tail = f"WHERE number BETWEEN ? AND ? ORDER BY number LIMIT {READ}"
        while found := await self._store.select(EVENTS, tail, (first, last)):
            yield found
            first = found[-1].number + 1

    async def _hash_of(self, number: int) -> bytes:
        if not number:
            return BEGINNING
        found = await self._store.load(EVENTS, number)
        return found.hash if found else b""
