"""What happens by itself, in time: warnings and the end of decisions, and targets that stayed away too long."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import structlog

from quell_actioncenter.application.book import CENTER, Book, Note
from quell_actioncenter.application.desk import Desk
from quell_actioncenter.domain.lifecycle import DECIDED, UNDECIDED, Event, State
from quell_actioncenter.domain.records import ActionRecord
from quell_actioncenter.store.tables import ACTIONS
from quell_runtime.seams import micros, when
from quell_runtime.store import Change

_log = structlog.get_logger()
BATCH = 256
LONGEST_S = 300.0
"""A wall clock that jumps is noticed after so long."""
PAUSE_S = 1.0
NEVER = datetime.max.replace(tzinfo=UTC)
DUE = f"WHERE due_time <= ? ORDER BY due_time LIMIT {BATCH}"
NEXT = "WHERE due_time IS NOT NULL ORDER BY due_time LIMIT 1"


class Timer:
    """Looks at actions when they are due."""

    def __init__(self, desk: Desk) -> None:
        """Decide at this desk."""
        self._desk = desk
        self._wake = asyncio.Event()
        self._next = NEVER

    async def run(self) -> None:
        """Keep time until cancelled."""
        stop = self._desk.store.listen(self._changed)
        try:
            while True:
                try:
                    await self._wait(await self._work())
                except Exception:  # noqa: BLE001 - time goes on whatever it is
                    _log.exception("timer_failed")
                    await asyncio.sleep(PAUSE_S)
        finally:
            stop()

    async def _work(self) -> float:
        """Do what is due, and return how long there is nothing to do, in seconds."""
        store, clock = self._desk.store, self._desk.clock
        while due := await store.select(ACTIONS, DUE, (micros(clock.now()),)):
            names = [record.name for record in due]
            await self._desk.decide(lambda book, names=names: _pass(book, names))  # type: ignore[misc]
        self._wake.clear()
        upcoming = await store.select(ACTIONS, NEXT)
        self._next = (upcoming[0].due_time if upcoming else None) or NEVER
        return min(LONGEST_S, max(0.0, (self._next - clock.now()).total_seconds()))

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    def _changed(self, changes: Sequence[Change[Any]]) -> None:
        for change in changes:
            due = change.after.due_time if change.table is ACTIONS and change.after else None
            if due is not None and due < self._next:
                self._wake.set()


def _pass(book: Book, names: Sequence[str]) -> None:
    book.expect(names)
    for record in filter(None, map(book.action, names)):
        if record.due_time is not None and record.due_time <= book.now:
            _due(book, record)


def _due(book: Book, record: ActionRecord) -> None:
    state = State(record.state)
    if state in DECIDED:
        book.move(record, Event.TARGET_EXPIRED, Note(CENTER, "Its target did not come back in time."))
    elif state in UNDECIDED and when(record.action.decision_expire_time) <= book.now:
        book.move(record, Event.DECISION_EXPIRED, Note(CENTER, "Nobody decided in time."))
    else:
        ends = when(record.action.decision_expire_time).isoformat(timespec="minutes")
        book.move(record, Event.DECISION_DUE, Note(CENTER, f"Nobody has decided; it expires at {ends}."))
