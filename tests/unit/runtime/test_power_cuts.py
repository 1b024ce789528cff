"""A power cut loses nothing that was acknowledged. SIGKILL can't tell: the system writes for the dead what they left.

The disk is one that keeps only what was synced, and of the rest some sectors by chance. It is written by a SQLite whose
file system a test may replace, by the store's own settings, and read again by the one that the store uses.
"""

import random
import sqlite3
from pathlib import Path

import apsw

from quell_runtime.store.connection import PRAGMAS

CUTS = 100
SECTOR = 512
NORMAL = tuple(pragma.replace("FULL", "NORMAL") for pragma in PRAGMAS)


class Disk(apsw.VFS):
    """A disk that knows what of each file is on it for good."""

    def __init__(self, name: str) -> None:
        """Stand over the real one."""
        self.durable: dict[str, bytes] = {}
        self.name = name
        super().__init__(name, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> "File":  # noqa: N802 - SQLite's name
        """Open a file."""
        return File(self, name, flags)

    def cut(self, before: Path, after: Path, chance: random.Random) -> None:
        """Leave in `after` what is there when the power comes back: all that was synced, and some of the rest."""
        for file in before.iterdir():
            written = file.read_bytes()
            left = bytearray(self.durable.get(str(file), b"").ljust(len(written), b"\0"))
            for at in range(0, len(written), SECTOR):
                if chance.random() < 0.5:
                    left[at : at + SECTOR] = written[at : at + SECTOR]
            (after / file.name).write_bytes(left)


class File(apsw.VFSFile):
    """A file on it."""

    def __init__(self, disk: Disk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        """Open it."""
        self._disk = disk
        self._path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        super().__init__("", name, flags)

    def xSync(self, flags: int) -> None:  # noqa: N802
        """From now on what was written is there for good."""
        super().xSync(flags)
        self._disk.durable[self._path] = Path(self._path).read_bytes()


def lost(seed: int, pragmas: tuple[str, ...], folder: Path) -> set[int]:
    """Commit some rows, cut the power in the middle of the next, and return the acknowledged ones that are gone."""
    chance = random.Random(seed)  # noqa: S311 - it must come again
    before, after = folder / f"before-{seed}", folder / f"after-{seed}"
    before.mkdir()
    after.mkdir()
    disk = Disk(f"disk-{folder.name}-{seed}")
    database = apsw.Connection(str(before / "db"), vfs=disk.name)
    # Without shared memory, which such a disk does not have, WAL needs the file for itself.
    for pragma in ("locking_mode = EXCLUSIVE", *pragmas, "wal_autocheckpoint = 8"):
        database.execute(f"PRAGMA {pragma}")
    database.execute("CREATE TABLE rows (number INTEGER PRIMARY KEY, body BLOB)")
    acknowledged = set(range(chance.randrange(1, 40)))
    for number in sorted(acknowledged):
        _insert(database, number, chance.randbytes(700))
        database.execute("COMMIT")
    _insert(database, 999, chance.randbytes(5000))
    disk.cut(before, after, chance)
    database.close()
    return acknowledged - _found(after / "db")


def _insert(database: apsw.Connection, number: int, body: bytes) -> None:
    database.execute("BEGIN IMMEDIATE")
    database.execute("INSERT INTO rows VALUES (?, ?)", (number, body))


def _found(path: Path) -> set[int]:
    database = sqlite3.connect(path)
    try:
        return {number for (number,) in database.execute("SELECT number FROM rows")}
    except sqlite3.DatabaseError:
        return set()
    finally:
        database.close()


def test_a_power_cut_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """In none of a hundred cuts."""
    assert [seed for seed in range(CUTS) if lost(seed, PRAGMAS, tmp_path)] == []


def test_with_a_weaker_setting_it_does(tmp_path: Path) -> None:
    """The control: the same cuts do lose commits under `synchronous = NORMAL`."""
    assert [seed for seed in range(CUTS) if lost(seed, NORMAL, tmp_path)] != []
