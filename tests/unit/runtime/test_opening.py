"""A folder belongs to one process, and its database to the newest version that has opened it."""

import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from quell_runtime.errors import FullError
from quell_runtime.store import Store, View, table
from quell_runtime.store.connection import ThreadedSqlite
from quell_runtime.store.opening import FolderTakenError, SchemaNewerError, migrate, only_one, opened


@dataclass(frozen=True)
class Note:
    """What a test keeps."""

    name: str
    text: str


NOTES = table(Note, "notes", "name")
FIRST = "CREATE TABLE notes (name TEXT PRIMARY KEY, text TEXT NOT NULL)"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a package with one migration, importable as `notes_of_a_test`; return the folder of migrations."""
    folder = tmp_path / "notes_of_a_test" / "migrations"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("")
    (folder / "0001_notes.sql").write_text(FIRST)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "notes_of_a_test", raising=False)
    return folder


async def test_a_store_is_migrated_kept_and_opened_again(tmp_path: Path, package: Path) -> None:
    """For its owner's eyes only."""
    async with opened(tmp_path / "data", "notes_of_a_test", name="notes") as store:
        await store.change(lambda view: view.put(NOTES, Note("a", "first")))
    assert (tmp_path / "data" / "notes.db").stat().st_mode & 0o077 == 0
    (package / "0002_more.sql").write_text("UPDATE notes SET text = 'second'; CREATE INDEX by_text ON notes (text)")
    async with opened(tmp_path / "data", "notes_of_a_test", name="notes") as store:
        assert await store.load(NOTES, "a") == Note("a", "second")


@pytest.mark.usefixtures("package")
async def test_a_second_process_is_told_and_the_first_goes_on(tmp_path: Path) -> None:
    """Also one of another program; the lock ends with its holder."""
    script = f"import fcntl, os; fcntl.flock(os.open({str(tmp_path / 'data' / 'lock')!r}, os.O_RDWR), 6)"
    async with opened(tmp_path / "data", "notes_of_a_test", name="notes"):
        with pytest.raises(FolderTakenError, match=str(tmp_path / "data")):
            async with opened(tmp_path / "data", "notes_of_a_test", name="notes"):
                pytest.fail("two have it")
        other = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)  # noqa: ASYNC221, S603
        assert b"BlockingIOError" in other.stderr
    with only_one(tmp_path / "data"):
        pass


def test_a_migration_that_fails_leaves_what_was(tmp_path: Path, package: Path) -> None:
    """And the next try begins there."""
    (package / "0002_broken.sql").write_text("INSERT INTO notes VALUES ('a', 'half'); INSERT INTO nothing VALUES (1)")
    with pytest.raises(sqlite3.OperationalError):
        migrate(tmp_path / "notes.db", "notes_of_a_test")
    database = sqlite3.connect(tmp_path / "notes.db")
    assert database.execute("PRAGMA user_version").fetchone() == (1,)
    assert database.execute("SELECT * FROM notes").fetchall() == []
    database.close()


def test_an_older_program_refuses_newer_data(tmp_path: Path, package: Path) -> None:
    """It would not know what it does to them."""
    (package / "0002_more.sql").write_text("CREATE INDEX by_text ON notes (text)")
    migrate(tmp_path / "notes.db", "notes_of_a_test")
    (package / "0002_more.sql").unlink()
    with pytest.raises(SchemaNewerError, match="update it"):
        migrate(tmp_path / "notes.db", "notes_of_a_test")


async def test_a_disk_that_is_really_full_stores_nothing_of_a_change_and_is_still_read(tmp_path: Path) -> None:
    """And goes on once there is room."""
    path = tmp_path / "notes.db"
    database = sqlite3.connect(path)
    database.execute(FIRST)
    database.close()
    async with ThreadedSqlite(path) as writer, ThreadedSqlite(path) as reader:
        assert isinstance(writer, ThreadedSqlite)
        assert isinstance(reader, ThreadedSqlite)
        store = Store(writer, reader)
        await store.change(lambda view: view.put(NOTES, Note("a", "small")))
        await writer.execute("PRAGMA max_page_count = 3")

        def two(view: View) -> None:
            view.put(NOTES, Note("a", "x"))
            view.put(NOTES, Note("b", "x" * 100_000))

        with pytest.raises(FullError):
            await store.change(two)
        assert await store.select(NOTES) == [Note("a", "small")]
        await writer.execute("PRAGMA max_page_count = 1000000")
        await store.change(lambda view: view.put(NOTES, Note("b", "large")))
        assert len(await store.select(NOTES)) == 2


@pytest.mark.usefixtures("package")
async def test_a_listener_that_fails_fails_nobody(tmp_path: Path) -> None:
    """What is stored is stored, and the others hear of it."""
    heard: list[int] = []

    def broken(_changes: object) -> None:
        raise RuntimeError("ours")

    async with opened(tmp_path / "data", "notes_of_a_test", name="notes") as store:
        store.listen(broken)
        store.listen(lambda changes: heard.append(len(changes)))
        await store.change(lambda view: view.put(NOTES, Note("a", "first")))
    assert heard == [1]
