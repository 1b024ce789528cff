"""Shared reads: whoever asks while a read is under way shares the next trip to the database."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from quell_runtime.store.connection import Connection, Query, Row

MOST = 256
Rows = list[list[Row]]


@dataclass(frozen=True, slots=True)
class _Asker:
    queries: Sequence[Query]
    answer: "asyncio.Future[Rows]"


class Reading:
    """Reads committed rows through one connection."""

    def __init__(self, connection: Connection) -> None:
        """Read through this one; nobody else may."""
        self._connection = connection
        self._askers: list[_Asker] = []
        self._pump: asyncio.Task[None] | None = None

    async def read(self, queries: Sequence[Query]) -> Rows:
        """Return the rows of each query."""
        asker = _Asker(queries, asyncio.get_running_loop().create_future())
        self._askers.append(asker)
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._run())
        return await asker.answer

    async def close(self) -> None:
        """Wait for what is being read."""
        if self._pump is not None:
            await self._pump

    async def _run(self) -> None:
        while self._askers:
            askers, self._askers = self._askers[:MOST], self._askers[MOST:]
            try:
                await self._trip(askers)
            except Exception:  # noqa: BLE001 - each is asked alone, so that one bad question spoils nobody else's answer
                for asker in askers:
                    await self._alone(asker)

    async def _alone(self, asker: _Asker) -> None:
        try:
            await self._trip([asker])
        except Exception as error:  # noqa: BLE001 - it is the asker's own
            if not asker.answer.done():
                asker.answer.set_exception(error)

    async def _trip(self, askers: Sequence[_Asker]) -> None:
        rows = iter(await self._connection.read([query for asker in askers for query in asker.queries]))
        for asker in askers:
            found = [next(rows) for _ in asker.queries]
            if not asker.answer.done():
                asker.answer.set_result(found)
