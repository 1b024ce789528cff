"""Watching a resource: first each record that fits as it is now, then each change, and nothing is missed.

Every durable change of a record moves its `last_event` on, and numbers only grow: so a watch is a walk along that
number, and along the names of those that share one. What changes faster than it is taken is told as the newest. A
resume token says how far a walk came, and where its first round ended: before that, only what fits was told.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from google.protobuf.message import Message

from quell_actioncenter.domain.errors import ResumeTokenExpiredError
from quell_actioncenter.store.tables import COUNTERS
from quell_runtime.listing.filters import Filter
from quell_runtime.listing.paging import decode, encode
from quell_runtime.store import Change, Store, Table

CHANGING = frozenset({"state", "update_time"})
"""Columns that filters know and that change; by the others, a record fits for good or never."""
BATCH = 500
Position = tuple[int, str]
"""How far a walk came: `last_event` and name of a record."""
BEGINNING: Position = (0, "")
LAST = "\U0010ffff"
"""After every name."""
NEWEST = (1 << 63) - 1
"""Above every number of an event."""
PROGRESS_EVERY = 0.25
"""Seconds between two looks at the progress, which no change in the store tells of."""


class Watched(Protocol):
    """A record that can be watched."""

    @property
    def name(self) -> str:
        """Its key."""

    @property
    def last_event(self) -> int:
        """Number of its newest audit entry."""


R = TypeVar("R", bound=Watched)


@dataclass(frozen=True, slots=True)
class Told(Generic[R]):
    """A record as it is now, whether it still fits, and where to go on after it."""

    record: R
    matches: bool
    token: str


@dataclass(slots=True)
class Watch(Generic[R]):
    """One watch. `progress` is of the records' own names; what it says changes without a change in the store."""

    store: Store
    table: Table[R]
    wanted: Filter[R]
    progress: Callable[[], Mapping[str, Message]] = dict
    _left: set[str] = field(default_factory=set)
    """What fitted and does not any more, and is not told yet."""
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    async def told(self, token: str) -> AsyncGenerator[Told[R], None]:
        """Yield what is to be told, for ever, from a resume token on; from the beginning if that is empty.

        Raises:
            ResumeTokenExpiredError: There is nothing to go on from at the token.

        """
        stop = self.store.listen(self._hear)
        try:
            head = await self._head()
            first, position = (head, BEGINNING) if not token else _read(token, head)
            async with contextlib.aclosing(self._walk(first, position, head)) as walk:
                async for told in walk:
                    yield told
        finally:
            stop()

    def _hear(self, changes: Sequence[Change[Any]]) -> None:
        for change in changes:
            if change.table is self.table and change.after is not None:
                self._woken.set()
                if change.before and self.wanted.fits(change.before) and not self.wanted.fits(change.after):
                    self._left.add(change.after.name)

    async def _head(self) -> int:
        counter = await self.store.load(COUNTERS, "audit")
        return counter.value if counter else 0

    async def _walk(self, first: int, position: Position, head: int) -> AsyncGenerator[Told[R], None]:
        """`first` is the end of the first round, `head` that of what happened before we listened."""
        shown: dict[str, Message] = dict(self.progress())
        while position[0] <= first and (records := await self._select(self.wanted, position, first)):
            for record in records:
                position = record.last_event, record.name
                yield Told(record, matches=True, token=encode([first, *position]))
        position = max(position, (first, LAST))
        while True:
            self._woken.clear()
            while records := await self._select(self._lasting, position):
                for record in records:
                    position = record.last_event, record.name
                    fits = self.wanted.fits(record)
                    if fits or record.name in self._left or first < position[0] <= head:
                        self._left.discard(record.name)
                        yield Told(record, fits, encode([first, *position]))
            while not self._woken.is_set():
                for record in await self._moved(shown):
                    yield Told(record, matches=True, token=encode([first, *position]))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(PROGRESS_EVERY):
                        await self._woken.wait()

    @property
    def _lasting(self) -> Filter[R]:
        return Filter(tuple(one for one in self.wanted.comparisons if one.field.column not in CHANGING))

    async def _select(self, wanted: Filter[R], after: Position, until: int = NEWEST) -> list[R]:
        """Return what changed after a position and until a number, oldest change first."""
        place = "(last_event, name) > (?, ?) AND last_event <= ?"
        tail = f"WHERE {place} AND {wanted.sql} ORDER BY last_event, name LIMIT {BATCH}"
        return await self.store.select(self.table, tail, (*after, until, *wanted.parameters))

    async def _moved(self, shown: dict[str, Message]) -> list[R]:
        """Return the records whose progress is another than was shown, and note it as shown."""
        now = dict(self.progress())
        names = [name for name, progress in now.items() if shown.get(name) != progress]
        shown.clear()
        shown.update(now)
        marks = ", ".join("?" for _ in names)
        found = await self.store.select(self.table, f"WHERE name IN ({marks})", names) if names else []
        return [record for record in found if self.wanted.fits(record)]


def watching(
    store: Store,
    table: Table[R],
    wanted: Filter[R],
    token: str,
    progress: Callable[[], Mapping[str, Message]] = dict,
) -> contextlib.aclosing[AsyncGenerator[Told[R], None]]:
    """Watch within a `with`, so that it ends with it."""
    return contextlib.aclosing(Watch(store, table, wanted, progress).told(token))


def _read(token: str, head: int) -> tuple[int, Position]:
    match decode(token):
        case [int(first), int(number), str(name)] if 0 <= first <= head and 0 <= number <= head:
            return first, (number, name)
    raise ResumeTokenExpiredError("there is nothing to go on from at this token: watch anew without it")
