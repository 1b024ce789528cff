"""The audit log: as it was written, and whatever is changed, taken out or put in is found, by its number."""

import hashlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kept_actions import QUEUED, action, keep, move
from quell_actioncenter.application.audit import READ, Audit
from quell_actioncenter.domain.errors import EntryUnknownError
from quell_runtime.store import Store
from quell_runtime.store.opening import opened

COUNT = READ + 20


@asynccontextmanager
async def log(folder: Path) -> AsyncIterator[Store]:
    """Open a store."""
    async with opened(folder, "quell_actioncenter.store", name="center") as store:
        yield store


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """Return a folder with a log of `COUNT` entries."""
    async with log(tmp_path) as store:
        await keep(store, [action(number) for number in range(COUNT - 1)])
        await move(store, 0, QUEUED)
    return tmp_path


async def test_a_log_that_nobody_touched_holds(folder: Path) -> None:
    """Whole or in parts; the hash of the last entry is told, to be kept elsewhere."""
    async with log(folder) as store:
        audit = Audit(store)
        whole = await audit.verify(0, 0)
        assert (whole.checked, whole.broken, len(whole.hash)) == (COUNT, 0, 32)
        part = await audit.verify(5, 9)
        assert (part.checked, part.broken) == (5, 0)
        following = await audit.verify(10, COUNT)
        assert (following.checked, following.broken, following.hash) == (COUNT - 9, 0, whole.hash)
        numbers = [entry.number async for entries in audit.export(3) for entry in entries]
        assert numbers == list(range(3, COUNT + 1))
        assert [entries async for entries in audit.export(COUNT + 1)] == []


async def test_the_chain_is_what_the_contract_says(folder: Path) -> None:
    """Hash = SHA-256 of the hash before, the number and the payload's digest; computed here on its own."""
    async with log(folder) as store:
        before = bytes(32)
        async for entries in Audit(store).export(1):
            for entry in entries:
                digest = hashlib.sha256(entry.payload).digest()
                before = hashlib.sha256(before + entry.number.to_bytes(8, "big") + digest).digest()
                assert (entry.payload_digest, entry.hash) == (digest, before)


async def test_an_empty_log_holds(tmp_path: Path) -> None:
    """There is nothing to check."""
    async with log(tmp_path) as store:
        found = await Audit(store).verify(0, 0)
        assert (found.checked, found.broken) == (0, 0)


@pytest.mark.parametrize(("first", "last"), [(COUNT + 1, 0), (1, COUNT + 1), (3, 2), (2**63, 0), (1, 2**64 - 1)])
async def test_entries_that_are_not_there_cannot_be_checked(folder: Path, first: int, last: int) -> None:
    """A number beyond the log is refused."""
    async with log(folder) as store:
        with pytest.raises(EntryUnknownError):
            await Audit(store).verify(first, last)
        with pytest.raises(EntryUnknownError):
            assert [entries async for entries in Audit(store).export(COUNT + 2)]


def payload(database: sqlite3.Connection) -> None:
    """Change what happened."""
    database.execute("UPDATE events SET payload = X'00' WHERE number = 7")


def actor(database: sqlite3.Connection) -> None:
    """Change who did it, in the column that lists show."""
    database.execute("UPDATE events SET actor = 'bob' WHERE number = 7")


def digest(database: sqlite3.Connection) -> None:
    """Change what happened, and its digest with it."""
    found = hashlib.sha256(b"\0").digest()
    database.execute("UPDATE events SET payload = X'00', payload_digest = ? WHERE number = 7", (found,))


def missing(database: sqlite3.Connection) -> None:
    """Take an entry out."""
    database.execute("DELETE FROM events WHERE number = 7")


def swapped(database: sqlite3.Connection) -> None:
    """Change the order of two."""
    for old, new in ((7, -7), (8, 7), (-7, 8)):
        database.execute("UPDATE events SET number = ? WHERE number = ?", (new, old))


@pytest.mark.parametrize("tamper", [payload, actor, digest, missing, swapped])
async def test_what_was_tampered_with_is_found(folder: Path, tamper: Callable[[sqlite3.Connection], None]) -> None:
    """At the first entry that is not as it was written."""
    with sqlite3.connect(folder / "center.db") as database:
        tamper(database)
    database.close()
    async with log(folder) as store:
        found = await Audit(store).verify(0, 0)
        assert (found.checked, found.broken) == (6, 7)


async def test_a_cut_off_end_is_found(folder: Path) -> None:
    """The newest entries are gone, while the counter knows better."""
    with sqlite3.connect(folder / "center.db") as database:
        database.execute("DELETE FROM events WHERE number > ?", (COUNT - 3,))
    database.close()
    async with log(folder) as store:
        assert (await Audit(store).verify(0, 0)).broken == COUNT - 2
