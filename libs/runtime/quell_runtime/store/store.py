"""The group-commit writer: read what a group of callers touches, decide in memory, write once, one fsync.

A caller hands in a pure decision over a `View`. The callers that wait are taken together: their decisions run one
after the other over the same rows, so that a later one sees what an earlier one put, and one that raises changes
nothing. Then everything is committed, and each caller gets its own answer.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

import structlog

from quell_runtime.errors import FullError
from quell_runtime.seams import Point, nowhere
from quell_runtime.store.connection import Connection, Query, Statement
from quell_runtime.store.reading import Reading
from quell_runtime.store.table import SqlValue, Table

_log = structlog.get_logger()
T = TypeVar("T")
R = TypeVar("R")
Key = str | int
Place = tuple[Table[Any], Key]
Places = dict[Place, None]
"""A set that keeps its order, so that the same calls lead to the same order of rows."""
GROUP = 256


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """What a commit did to one record: `before` is None if it is new (or was put unread), `after` if it was deleted."""

    table: Table[T]
    key: Key
    before: T | None
    after: T | None


class _UnreadError(Exception):
    """A decision looked at rows that are not read yet. The writer reads them and asks again; nobody else sees this."""

    def __init__(self, places: Places) -> None:
        super().__init__()
        self.places = places


class View:
    """The rows as one decision sees them. Records are values: put a new one, never change one in place."""

    def __init__(self, rows: dict[Place, Any]) -> None:
        """Look at `rows`: what was read, and what earlier decisions of the group put."""
        self._rows = rows
        self._mine: dict[Place, Any] = {}

    def get(self, table: Table[T], key: Key) -> T | None:
        """Return the record, or None if there is none."""
        place = (table, key)
        if place in self._mine:
            return cast("T | None", self._mine[place])
        if place not in self._rows:
            raise _UnreadError({place: None})
        return cast("T | None", self._rows[place])

    def expect(self, places: Iterable[Place]) -> None:
        """Have rows that the decision has found out that it will look at read in one trip, not one by one."""
        if missing := {place: None for place in places if place not in self._mine and place not in self._rows}:
            raise _UnreadError(missing)

    def need(self, table: Table[T], key: Key) -> T:
        """Return a record that is there because of our own rules."""
        record = self.get(table, key)
        assert record is not None, f"{table.name} lacks {key}"  # noqa: S101 - ours, never input
        return record

    def put(self, table: Table[T], record: T) -> None:
        """Write the record, new or instead of the one with its key."""
        self._mine[table, table.key_of(record)] = record

    def drop(self, table: Table[T], key: Key) -> None:
        """Delete the record, if there is one."""
        if self.get(table, key) is not None:
            self._mine[table, key] = None

    @property
    def changed(self) -> dict[Place, Any]:
        """What this decision put and dropped."""
        return self._mine


Decision = Callable[[View], R]


@dataclass(slots=True)
class _Caller:
    decide: Decision[Any]
    reads: Sequence[Place]
    urgent: bool
    answer: "asyncio.Future[Any]"
    result: Any = None
    error: Exception | None = None


@dataclass(slots=True)
class _Group:
    """`decided`: how many of the callers, from the first on, have decided over `after`."""

    callers: list[_Caller]
    before: dict[Place, Any] = field(default_factory=dict)
    after: dict[Place, Any] = field(default_factory=dict)
    decided: int = 0


class Store:
    """Records in one database. `room` tells how many bytes are free; below `reserve` only urgent callers may write."""

    def __init__(
        self,
        writer: Connection,
        reader: Connection,
        *,
        room: Callable[[], int] | None = None,
        reserve: int = 0,
        point: Point = nowhere,
        name: str = "store",
    ) -> None:
        """Write through one connection and read through another."""
        self._writer = writer
        self._reading = Reading(reader)
        self._room = room
        self._reserve = reserve
        self._point = point
        self._name = name
        self._waiting: list[_Caller] = []
        self._pump: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[Sequence[Change[Any]]], None]] = []

    def listen(self, listener: Callable[[Sequence[Change[Any]]], None]) -> Callable[[], None]:
        """Have every commit's changes told, in order of commit, before its callers are answered. Return how to stop."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def change(self, decide: Decision[R], reads: Sequence[Place] = (), *, urgent: bool = False) -> R:
        """Run a decision in a transaction and return what it returns, once that is durable.

        `decide` must be pure: it may be run again with more rows. `reads` names rows that it will look at, to read them
        in one trip; it is a hint. `urgent` changes (receipts, undo, cancel, freeze) may use the last room on the disk.

        Raises:
            FullError: There is no room; nothing was stored.
            CommitUnknownError: It may or may not be stored.
            Exception: What `decide` raised; nothing was stored.

        """
        caller = _Caller(decide, reads, urgent, asyncio.get_running_loop().create_future())
        self._waiting.append(caller)
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._run())
        # A caller that is cancelled must not cancel the group.
        return cast("R", await asyncio.shield(caller.answer))

    async def select(self, table: Table[T], tail: str = "", parameters: Sequence[SqlValue] = ()) -> list[T]:
        """Return committed records; `tail` is what follows FROM: `WHERE state = ? ORDER BY create_time LIMIT 50`."""
        query = Query(f"SELECT {table.columns} FROM {table.name} {tail}", parameters)  # noqa: S608 - ours, not input
        (rows,) = await self.read([query])
        return [table.load(row) for row in rows]

    async def load(self, table: Table[T], key: Key) -> T | None:
        """Return one committed record."""
        found = await self.select(table, f'WHERE "{table.key}" = ?', (key,))
        return found[0] if found else None

    async def read(self, queries: Sequence[Query]) -> list[list[Sequence[SqlValue]]]:
        """Return committed rows of several queries in one trip, which may be shared with others who ask."""
        return await self._reading.read(queries)

    async def close(self) -> None:
        """Wait for what is being written or read. Nothing more is to be asked for."""
        if self._pump is not None:
            await self._pump
        await self._reading.close()

    async def _run(self) -> None:
        while self._waiting:
            group = _Group(self._waiting[:GROUP])
            self._waiting = self._waiting[GROUP:]
            try:
                await self._commit(group)
            except Exception as error:  # noqa: BLE001 - every caller of the group must hear of it
                for caller in group.callers:
                    caller.error = caller.error or error
            for caller in group.callers:
                _answer(caller)

    async def _commit(self, group: _Group) -> None:
        await self._decide(group)
        changed = {place: after for place, after in group.after.items() if after is not group.before.get(place)}
        if not changed:
            await self._writer.rollback()
            return
        changes = [Change(table, key, group.before.get((table, key)), after) for (table, key), after in changed.items()]
        self._point(f"{self._name}.decided")
        await self._writer.commit(_statements(changes))
        self._point(f"{self._name}.committed")
        for listener in tuple(self._listeners):
            try:
                listener(changes)
            except Exception:  # noqa: BLE001 - it is stored: neither callers nor other listeners may hear that it failed
                _log.exception("store_listener_failed", store=self._name)

    async def _decide(self, group: _Group) -> None:
        """Open the transaction and run every decision, reading what they look at until none lacks a row."""
        await self._load(group, {place: None for caller in group.callers for place in caller.reads}, opens=True)
        try:
            while missing := self._attempt(group):
                await self._load(group, missing, opens=False)
        except BaseException:
            await self._writer.rollback()
            raise

    async def _load(self, group: _Group, places: Places, *, opens: bool) -> None:
        keys: dict[Table[Any], list[Key]] = {}
        for table, key in places:
            keys.setdefault(table, []).append(key)
        queries = [Query(table.by_keys, (json.dumps(wanted),)) for table, wanted in keys.items()]
        answers = await (self._writer.begin if opens else self._writer.read)(queries)
        found = dict(places)
        for table, rows in zip(keys, answers, strict=True):
            for record in map(table.load, rows):
                found[table, table.key_of(record)] = record
        group.before.update(found)
        group.after.update(found)

    def _attempt(self, group: _Group) -> Places:
        """Run the decisions in order, from the first that lacked rows on; return the rows that some lack."""
        full = self._room is not None and self._room() < self._reserve
        missing: Places = {}
        rows = group.after
        for caller in group.callers[group.decided :]:
            view = View(rows)
            caller.result = caller.error = None
            try:
                if full and not caller.urgent:
                    raise FullError("the store is nearly full: free some space on its disk")  # noqa: TRY301
                caller.result = caller.decide(view)
            except _UnreadError as unread:
                # Those behind it are run only to learn what they lack: it comes before them.
                rows = rows if missing else dict(rows)
                missing |= unread.places
            except Exception as error:  # noqa: BLE001 - it is the caller's own
                caller.error = error
            else:
                rows.update(view.changed)
            group.decided += not missing
        return missing


def _answer(caller: _Caller) -> None:
    if caller.answer.cancelled():
        return
    if caller.error is not None:
        caller.answer.set_exception(caller.error)
        # Whoever asked may be gone; then nobody looks at it, and that is no fault.
        caller.answer.exception()
    else:
        caller.answer.set_result(caller.result)


def _statements(changes: Sequence[Change[Any]]) -> list[Statement]:
    drops: dict[str, list[Sequence[SqlValue]]] = {}
    puts: dict[str, list[Sequence[SqlValue]]] = {}
    for change in changes:
        if change.after is None:
            drops.setdefault(change.table.delete, []).append((change.key,))
        else:
            sql, row = change.table.write(change.before, change.after)
            puts.setdefault(sql, []).append(row)
    return [Statement(sql, rows) for sql, rows in (drops | puts).items()]
