"""What every disk holds, as last committed; known from the commits themselves, whoever was told of them."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from quell_actioncenter.store import tables as center
from quell_executor.journal import records as journal
from quell_runtime.store import Statement
from quell_runtime.store.table import Table
from simulation.disk import Reader, Written

T = TypeVar("T")
CENTER = Reader((center.ACTIONS, center.EVENTS, center.EFFECTS, center.OUTBOX, center.FREEZES, center.INVESTIGATIONS))
JOURNAL = Reader(
    (
        journal.ORDERS,
        journal.PLANS,
        journal.OUTGOING,
        journal.KNOWN,
        journal.OWNERS,
        journal.REVERTS,
        journal.DEAD_MEN,
        journal.CALLED_OFF,
    )
)
NOTHING = Reader(())


@dataclass
class Mirror:
    """The rows of one disk."""

    reader: Reader
    rows: dict[str, dict[Any, Any]] = field(default_factory=dict)

    def of(self, table: Table[T]) -> dict[Any, T]:
        """Return the rows of a table by key."""
        return cast("dict[Any, T]", self.rows.setdefault(table.name, {}))

    def read(self, writes: Sequence[Statement]) -> list[Written]:
        """Return the rows of a commit, before they are put here."""
        return self.reader.read(writes, self.rows)

    def put(self, written: Sequence[Written]) -> None:
        """Take the rows of a commit in."""
        for one in written:
            rows = self.of(one.table)
            if one.record is None:
                rows.pop(one.key, None)
            else:
                rows[one.key] = one.record

    def load(self, path: Path) -> None:
        """Read all of a disk that was put in another's place."""
        database = sqlite3.connect(path)
        for table in self.reader.tables:
            rows = database.execute(f"SELECT {table.columns} FROM {table.name}")  # noqa: S608 - ours
            self.rows[table.name] = {table.key_of(record): record for record in map(table.load, rows)}
        database.close()
