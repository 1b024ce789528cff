"""Evidence that nothing could follow from is read again when what it waits for becomes known."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from quell_actioncenter.application.backlog import Backlog
from quell_actioncenter.application.book import Book
from quell_actioncenter.application.desk import Desk
from quell_actioncenter.application.evidence import Judged, Reading
from quell_actioncenter.application.knowledge import GONE
from quell_actioncenter.domain.records import EvidenceRecord
from quell_actioncenter.store.tables import EVIDENCE, EXECUTORS, INVESTIGATIONS, TARGETS
from quell_runtime.store import Change, Query

BATCH = 200
PAUSE_S = 1.0
PAGE = f"WHERE waits_for = ? AND name > ? AND name < ? ORDER BY name LIMIT {BATCH}"
WAITING = "SELECT DISTINCT waits_for FROM evidence WHERE waits_for != ''"
LAST = "\U0010ffff"

Key = tuple[str, str]
"""What has become known, as `EvidenceRecord.waits_for` has it, and the prefix of the names that it matters to."""


class Rereading:
    """Reads again, in batches, beside everything else."""

    def __init__(self, desk: Desk) -> None:
        """Decide at this desk."""
        self._desk = desk
        self._backlog = Backlog(_keys, self._read, PAUSE_S)

    async def run(self) -> None:
        """Read again what a restart may have missed, then what becomes known, until cancelled."""
        await self._backlog.run(self._desk.store, self._missed)

    async def _missed(self) -> list[Key]:
        (rows,) = await self._desk.store.read([Query(WAITING)])
        return [(str(row[0]), "") for row in rows]

    async def _read(self, key: Key) -> None:
        waits_for, prefix = key
        after = prefix
        while rows := await self._desk.store.select(EVIDENCE, PAGE, (waits_for, after, prefix + LAST)):
            await self._again([row.name for row in rows])
            after = rows[-1].name

    async def _again(self, names: Sequence[str]) -> None:
        def work(book: Book) -> None:
            book.view.expect((EVIDENCE, name) for name in names)
            found = [row for name in names if (row := book.view.get(EVIDENCE, name)) and row.waits_for]
            book.view.expect((INVESTIGATIONS, row.investigation) for row in found)
            for investigation, rows in groupby(found, attrgetter("investigation")):
                self._of_investigation(book, investigation, list(rows))

        await self._desk.decide(work)

    def _of_investigation(self, book: Book, name: str, rows: Sequence[EvidenceRecord]) -> None:
        investigation = book.view.need(INVESTIGATIONS, name)
        if not investigation.terminated:
            Reading(book, self._desk.in_force, investigation, Judged()).read(rows)


def _keys(change: Change[Any]) -> Iterator[Key]:
    """Yield what a change has made known."""
    before, after = change.before, change.after
    if after is None:
        return
    if change.table is TARGETS:
        if before is None or before.kinds != after.kinds or before.state != after.state:
            yield after.name, ""
        if (
            before is None
            or before.host_names != after.host_names
            or (after.state in GONE and before.state != after.state)
        ):
            yield from ((f"host/{host}", "") for host in after.host_names)
    elif change.table is EXECUTORS and (before is None or before.kinds != after.kinds):
        yield f"plane/{after.plane}", ""
    elif change.table is INVESTIGATIONS and (before is None or before.devices != after.devices):
        yield "investigation", after.name + "/"
