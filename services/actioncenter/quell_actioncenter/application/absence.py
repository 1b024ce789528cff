"""What waits for targets that are away: shown as waiting, never silent; and what is lost with one that is gone."""

import asyncio

import structlog
from quell.executor.v1 import target_report_pb2

from quell_actioncenter.application import register
from quell_actioncenter.application.book import CENTER, Book, Note
from quell_actioncenter.application.desk import Desk
from quell_actioncenter.application.ending import lose
from quell_actioncenter.application.knowledge import GONE
from quell_actioncenter.domain.lifecycle import ENDED, LIVE, Event, State
from quell_actioncenter.domain.records import OutboxRecord
from quell_actioncenter.store.tables import EFFECTS, OUTBOX
from quell_runtime.store import Query

_log = structlog.get_logger()
BATCH = 256
PAUSE_S = 1.0
END = int(min(ENDED))
ALIVE = f"SELECT name FROM actions WHERE device = ? AND state < {END} ORDER BY name LIMIT {BATCH}"  # noqa: S608 - our own numbers
FORSAKEN = f"""
SELECT DISTINCT targets.name, targets.state FROM targets JOIN actions ON actions.device = targets.name
WHERE targets.state IN {GONE} AND actions.state < {END}
"""  # noqa: S608 - as above


class Absence:
    """Marks actions of one plane as WAITING_FOR_TARGET, in batches, beside what is sent."""

    def __init__(self, desk: Desk, plane: str) -> None:
        """Begin with nobody away."""
        self._desk = desk
        self._plane = plane
        self._names: set[str] = set()
        self._wake = asyncio.Event()
        self.down = False
        """Whether the executor itself is away, for so long that it counts."""

    def note(self, row: OutboxRecord) -> None:
        """Note that a row can't be sent now."""
        if row.state == State.QUEUED:
            self._names.add(row.action)
            self._wake.set()

    async def all_away(self) -> None:
        """Note that the executor itself is away."""
        self.down = True
        rows = await self._desk.store.select(OUTBOX, "WHERE plane = ? AND state = ?", (self._plane, State.QUEUED))
        for row in rows:
            self.note(row)

    async def run(self) -> None:
        """Mark what is noted until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._names:
                names = sorted(self._names)[:BATCH]
                self._names.difference_update(names)
                await self._mark(names)

    async def _mark(self, names: list[str]) -> None:
        def work(book: Book) -> None:
            book.expect(names)
            for record in filter(None, map(book.action, names)):
                if record.state == State.QUEUED:
                    book.move(record, Event.TARGET_AWAY, Note(CENTER, "Its target is away."))

        try:
            await self._desk.decide(work)
        except Exception:  # noqa: BLE001 - a full disk, say: it is only shown a little later
            _log.exception("waiting_not_marked", plane=self._plane)
            self._names.update(names)
            await asyncio.sleep(PAUSE_S)

    async def forsaken(self) -> None:
        """End what is left of devices that are gone; a crash may have come between."""
        (rows,) = await self._desk.store.read([Query(FORSAKEN)])
        for device, state in rows:
            await self.lost(str(device), int(str(state)))

    async def lost(self, device: str, state: int) -> None:
        """End what was asked of a device that is banned or offboarded."""
        banned = state == target_report_pb2.TARGET_STATE_BANNED
        event = Event.TARGET_BANNED if banned else Event.TARGET_OFFBOARDED
        while True:
            (rows,) = await self._desk.store.read([Query(ALIVE, (device,))])
            names = [str(row[0]) for row in rows]
            if not names:
                return

            def work(book: Book, names: list[str] = names) -> None:
                book.expect(names)
                book.view.expect((EFFECTS, register.name_of(name)) for name in names)
                for record in filter(None, map(book.action, names)):
                    if State(record.state) in LIVE:
                        lose(book, record, event, Note(CENTER, f"Its device was {event.removeprefix('target_')}."))

            await self._desk.decide(work, urgent=True)
