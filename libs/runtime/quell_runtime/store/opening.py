"""Opening a store in a folder: one process at a time, migrated to what the code expects."""

import fcntl
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.resources import files
from pathlib import Path

from quell_runtime.errors import StateError
from quell_runtime.seams import Point, nowhere
from quell_runtime.store.connection import ThreadedSqlite
from quell_runtime.store.store import Store

RESERVE = 32 << 20
"""Bytes that ordinary changes leave free on the disk for receipts, undo, cancel and freeze."""


class FolderTakenError(StateError):
    """Another process works on the folder."""

    reason = "FOLDER_TAKEN"


class SchemaNewerError(StateError):
    """The data were written by a newer version."""

    reason = "SCHEMA_NEWER"


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the folder's lock.

    Raises:
        FolderTakenError: Another process holds it.

    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderTakenError(
                f"another process works on {folder}: stop it first, or give another folder"
            ) from None
        yield
    finally:
        os.close(descriptor)


def migrate(path: Path | str, package: str) -> None:
    """Bring a database up to the newest of the package's `migrations/NNNN_name.sql`, one transaction each.

    Raises:
        SchemaNewerError: A newer version of the program wrote it.

    """
    scripts = sorted((entry for entry in (files(package) / "migrations").iterdir()), key=lambda entry: entry.name)
    scripts = [script for script in scripts if script.name.endswith(".sql")]
    database = sqlite3.connect(path, isolation_level=None)
    try:
        (done,) = database.execute("PRAGMA user_version").fetchone()
        if done > len(scripts):
            raise SchemaNewerError(f"the data are of version {done}, this program knows {len(scripts)}: update it")
        for number, script in enumerate(scripts[done:], done + 1):
            text = script.read_text(encoding="utf-8")
            database.executescript(f"BEGIN IMMEDIATE; {text}; PRAGMA user_version = {number}; COMMIT;")
    finally:
        database.close()


@asynccontextmanager
async def _connected(path: Path) -> AsyncIterator[ThreadedSqlite]:
    connection = ThreadedSqlite(path)
    await connection
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def opened(folder: Path, package: str, *, name: str, point: Point = nowhere) -> AsyncIterator[Store]:
    """Open `folder/NAME.db`, migrated by the package's scripts, for this process alone."""
    with only_one(folder):
        path = folder / f"{name}.db"
        migrate(path, package)
        path.chmod(0o600)
        async with _connected(path) as writer, _connected(path) as reader:
            store = Store(
                writer,
                reader,
                room=lambda: shutil.disk_usage(folder).free,
                reserve=RESERVE,
                point=point,
                name=name,
            )
            try:
                yield store
            finally:
                await store.close()
