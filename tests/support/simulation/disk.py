"""Disks: SQLite on files, with waits in between, commits that can't tell, and an observer of what was committed."""

import asyncio
import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import override

from quell_runtime.errors import CommitUnknownError
from quell_runtime.store import Statement
from quell_runtime.store.connection import InlineSqlite, Query, Row
from quell_runtime.store.table import Table
from simulation.life import Life


@dataclass(frozen=True, slots=True)
class Written:
    """One row of a commit; `record` is None if it was deleted."""

    table: Table[Any]
    key: Any
    record: Any


class Reader:
    """Reads what was committed as records, of the tables that matter."""

    def __init__(self, tables: Iterable[Table[Any]]) -> None:
        """Know the tables by their statements."""
        self._by_upsert = {table.upsert: table for table in tables}
        self._by_delete = {table.delete: table for table in tables}
        self._by_name = {table.name: table for table in tables}

    def read(self, writes: Sequence[Statement], before: Mapping[str, Mapping[Any, Any]]) -> list[Written]:
        """Return the rows of a commit; `before` are those of each table before it, by key."""
        found = []
        for write in writes:
            if table := self._by_upsert.get(write.sql):
                records = [table.load(row) for row in write.rows]
                found += [Written(table, table.key_of(record), record) for record in records]
            elif table := self._by_delete.get(write.sql):
                found += [Written(table, row[0], None) for row in write.rows]
            elif (words := write.sql.split(maxsplit=2))[0] == "UPDATE" and (table := self._by_name.get(words[1])):
                records = [_updated(table, before[table.name][row[-1]], write.sql, row) for row in write.rows]
                found += [Written(table, table.key_of(record), record) for record in records]
        return found

    @property
    def tables(self) -> tuple[Table[Any], ...]:
        """The tables that matter."""
        return tuple(self._by_upsert.values())


def _updated(table: Table[Any], before: object, sql: str, row: Row) -> object:
    """Return a record as an update of some columns leaves it."""
    _, values = table.write(None, before)
    columns = dict(zip(table.columns.split(", "), values, strict=True))
    changed = re.findall(r'("\w+") = \?', sql)
    return table.load(tuple((columns | dict(zip(changed, row, strict=True))).values()))


class Disk(InlineSqlite):
    """A connection of one life."""

    def __init__(
        self, path: Path, life: Life, chance: random.Random, heard: Callable[[Sequence[Statement]], None]
    ) -> None:
        """Open it; `heard` is told each commit when it is durable."""
        super().__init__(path)
        self._life = life
        self._chance = chance
        self._heard = heard
        life.at_end(self._database.close)
        self.unknown = 0.0

    async def _wait(self) -> None:
        self._life.check()
        await asyncio.sleep(self._chance.random() * 0.02 if self._chance.random() < 0.5 else 0)
        self._life.check()

    @override
    async def read(self, queries: Sequence[Query]) -> list[list[Row]]:
        await self._wait()
        return await super().read(queries)

    @override
    async def begin(self, queries: Sequence[Query]) -> list[list[Row]]:
        await self._wait()
        return await super().begin(queries)

    @override
    async def commit(self, writes: Sequence[Statement]) -> None:
        await self._wait()
        draw = self._chance.random()
        if draw < self.unknown / 2:
            await super().rollback()
            raise CommitUnknownError("simulated: it is not stored")
        await super().commit(writes)
        self._heard(writes)
        if draw < self.unknown:
            raise CommitUnknownError("simulated: it is stored")
        await self._wait()

    @override
    async def rollback(self) -> None:
        self._life.check()
        await super().rollback()
