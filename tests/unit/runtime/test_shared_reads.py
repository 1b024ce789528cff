"""Whoever asks while a read is under way shares the next trip; a bad question spoils nobody else's answer."""

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from quell_runtime.store.connection import InlineSqlite, Query, Row
from quell_runtime.store.reading import Reading


class Counting(InlineSqlite):
    """SQLite that counts trips, each of which takes a turn of the loop."""

    def __init__(self, path: Path) -> None:
        """Begin with none."""
        super().__init__(path)
        self.trips: list[int] = []

    async def read(self, queries: Sequence[Query]) -> list[list[Row]]:
        """Count, and read."""
        self.trips.append(len(queries))
        await asyncio.sleep(0)
        return await super().read(queries)


async def test_those_who_ask_meanwhile_share_one_trip(tmp_path: Path) -> None:
    """A thousand who ask at once make a handful of trips, and each has its own answer."""
    connection = Counting(tmp_path / "a.db")
    reading = Reading(connection)
    found = await asyncio.gather(*[reading.read([Query("SELECT ?", (number,))]) for number in range(1000)])
    assert found == [[[(number,)]] for number in range(1000)]
    assert len(connection.trips) == 4
    await reading.close()


async def test_a_bad_question_spoils_nobody_elses_answer(tmp_path: Path) -> None:
    """Only who asked it hears of it."""
    reading = Reading(InlineSqlite(tmp_path / "a.db"))
    good, bad, late = await asyncio.gather(
        reading.read([Query("SELECT 1")]),
        reading.read([Query("SELECT nothing")]),
        reading.read([Query("SELECT 2"), Query("SELECT 3")]),
        return_exceptions=True,
    )
    assert (good, late) == ([[(1,)]], [[(2,)], [(3,)]])
    assert isinstance(bad, sqlite3.OperationalError)
    await reading.close()


async def test_who_gives_up_spoils_nobody_elses_answer(tmp_path: Path) -> None:
    """A caller that is cancelled while its trip is under way leaves the others theirs."""
    reading = Reading(Counting(tmp_path / "a.db"))
    asked = [asyncio.create_task(reading.read([Query("SELECT ?", (number,))])) for number in range(2)]
    await asyncio.sleep(0)
    asked[0].cancel()
    assert await asked[1] == [[(1,)]]
    with pytest.raises(asyncio.CancelledError):
        await asked[0]
    await reading.close()
