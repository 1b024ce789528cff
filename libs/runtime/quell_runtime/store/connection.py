"""The port to a database, and SQLite behind it: with a thread in production, inline under virtual time."""

import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import aiosqlite

from quell_runtime.errors import CommitUnknownError, FullError
from quell_runtime.store.table import SqlValue

Row = Sequence[SqlValue]
PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "busy_timeout = 10000", "cache_size = -8000")
"""FULL: a power cut loses no acknowledged commit; NORMAL does."""
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Query:
    """One SELECT and its parameters."""

    sql: str
    parameters: Sequence[SqlValue] = ()


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement that writes, once for each row of parameters."""

    sql: str
    rows: Sequence[Sequence[SqlValue]] = ((),)


class Connection(Protocol):
    """A connection that one task uses at a time. Each call is one trip to the database, however much it carries."""

    async def read(self, queries: Sequence[Query]) -> list[list[Row]]:
        """Return the rows of each query, in the open transaction or, if there is none, as last committed."""

    async def begin(self, queries: Sequence[Query]) -> list[list[Row]]:
        """Open the one transaction that may write, and read."""

    async def commit(self, writes: Sequence[Statement]) -> None:
        """Write and commit durably.

        Raises:
            FullError: There is no room; nothing was stored and the transaction is closed.
            CommitUnknownError: It may or may not be stored.

        """

    async def rollback(self) -> None:
        """Close the transaction, if one is open; nothing was stored."""


def _prepare(path: Path | str) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for pragma in PRAGMAS:
        database.execute(f"PRAGMA {pragma}")
    return database


def _read(database: sqlite3.Connection, queries: Sequence[Query]) -> list[list[Row]]:
    return [database.execute(query.sql, query.parameters).fetchall() for query in queries]


def _begin(database: sqlite3.Connection, queries: Sequence[Query]) -> list[list[Row]]:
    database.execute("BEGIN IMMEDIATE")
    return _read(database, queries)


def _commit(database: sqlite3.Connection, writes: Sequence[Statement]) -> None:
    try:
        for write in writes:
            database.executemany(write.sql, write.rows)
        database.execute("COMMIT")
    except sqlite3.Error as error:
        _rollback(database)
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            raise FullError("there is no room to store it") from error
        if isinstance(error, sqlite3.OperationalError):
            raise CommitUnknownError("it may or may not be stored") from error
        raise


def _rollback(database: sqlite3.Connection) -> None:
    if database.in_transaction:
        database.execute("ROLLBACK")


class ThreadedSqlite(aiosqlite.Connection):
    """SQLite in a thread of its own. Open it with `await`, close it with `close`."""

    def __init__(self, path: Path) -> None:
        """Remember where."""
        super().__init__(lambda: _prepare(path), iter_chunk_size=64)

    async def read(self, queries: Sequence[Query]) -> list[list[Row]]:
        """Return the rows of each query."""
        return await self._run(_read, queries)

    async def begin(self, queries: Sequence[Query]) -> list[list[Row]]:
        """Open the transaction and read."""
        return await self._run(_begin, queries)

    async def commit(self, writes: Sequence[Statement] = ()) -> None:
        """Write and commit."""
        await self._run(_commit, writes)

    async def rollback(self) -> None:
        """Close the transaction."""
        await self._run(_rollback)

    async def _run(self, function: Callable[..., Answer], *arguments: object) -> Answer:
        # One call is one trip to the thread; the public methods of the library make one for each statement.
        answer: Answer = await self._execute(function, self._conn, *arguments)  # type: ignore[no-untyped-call]
        return answer


class InlineSqlite:
    """SQLite in the caller's thread, for virtual time: nothing waits but by the loop."""

    def __init__(self, path: Path | str) -> None:
        """Open it."""
        self._database = _prepare(path)

    async def read(self, queries: Sequence[Query]) -> list[list[Row]]:
        """Return the rows of each query."""
        return _read(self._database, queries)

    async def begin(self, queries: Sequence[Query]) -> list[list[Row]]:
        """Open the transaction and read."""
        return _begin(self._database, queries)

    async def commit(self, writes: Sequence[Statement]) -> None:
        """Write and commit."""
        _commit(self._database, writes)

    async def rollback(self) -> None:
        """Close the transaction."""
        _rollback(self._database)

    async def close(self) -> None:
        """Close it; an open transaction is lost."""
        with contextlib.suppress(sqlite3.ProgrammingError):
            self._database.close()
