"""Swapping names while the agent works moves no file that was not ordered."""

import contextlib
import hashlib
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from quell_agent import files, steps
from quell_agent.before import Before, folder_of, inode_of
from quell_agent.files import Content
from quell_agent.persistence import swap
from quell_agent.persistence.find import Persistence
from quell_agent.persistence.places import Place, Places
from quell_agent.persistence.syntax import LINE
from quell_agent.protected import Protected
from quell_agent.vault import Room, Vaults
from quell_agent.vault_file import VaultKeys

TRIES, ENOUGH = 20_000, 200
LINE_OF_CRON = b"* * * * * root /opt/evil\n"
VICTIM = b"the system needs this\n" + LINE_OF_CRON
EMPTY = (hashlib.sha256().hexdigest(), hashlib.sha1(usedforsecurity=False).hexdigest())
ATTACKER = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
parent, names = os.path.dirname(sys.argv[1]).encode(), [path.encode() for path in sys.argv[1:]]
print("up", flush=True)
while True:  # exchanges the folder with a link to the victim's, and the file with a link to the victim
    for left, right in ((names[0], names[1]), (names[2], names[3])):
        libc.renameat2(-100, left, -100, right, 2)
        if os.getppid() == 1:
            raise SystemExit
"""


@pytest.fixture
def box() -> Iterator[Path]:
    """Return a folder in memory, where a flush takes no time."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:  # noqa: PTH112, S108
        yield Path(folder).resolve()


def _planned(path: Path) -> Before | None:
    """Plan as the search does; the attacker may be in the way."""
    try:
        with files.opened_folder(str(path.parent)) as folder, files.opened_file(folder, path.name) as file:
            inode, content = inode_of(file), files.content_of(file)
            return Before(str(path), content, secrets.token_hex(8), (str(path),), inode, folder_of(folder))
    except (OSError, files.NotAFileError):
        return None


@contextmanager
def attacked(box: Path, content: bytes = b"") -> Iterator[Callable[[], None]]:
    """Have an attacker at work; hand out how the file to take is made anew, whatever its folder is called by now."""
    (box / "vault").mkdir(mode=0o700)
    for name in ("attacked", "safe"):
        (box / name).mkdir()
    (box / "safe/file").write_bytes(VICTIM)
    (box / "link").symlink_to(box / "safe")
    (box / "attacked/link").symlink_to(box / "safe/file")
    folder = os.open(box / "attacked", os.O_RDONLY)

    def make() -> None:
        with contextlib.suppress(FileExistsError):
            os.close(os.open("file", os.O_CREAT | os.O_EXCL | os.O_WRONLY, dir_fd=folder))
        # Under either name, and never through the link.
        for name in ("file", "link"):
            with contextlib.suppress(OSError):
                made = os.open(name, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW, dir_fd=folder)
                os.write(made, content)
                os.close(made)

    swapped = [box / "attacked", box / "link", box / "attacked/file", box / "attacked/link"]
    attacker = subprocess.Popen([sys.executable, "-c", ATTACKER, *swapped], stdout=subprocess.PIPE)  # noqa: S603 - ours
    try:
        assert attacker.stdout is not None
        attacker.stdout.readline()
        yield make
    finally:
        os.close(folder)
        attacker.kill()
        attacker.communicate()


def test_no_other_file_is_ever_moved(box: Path) -> None:
    """20,000 tries against an attacker who exchanges the folder and the file for links: the victim stays.

    How often the attacker is the quicker one depends on the machine: more tries are made until 200 have moved the file.
    """
    evil, keys, taken = box / "attacked/file", VaultKeys(b"k" * 32, lambda: None), 0
    with attacked(box) as make, files.opened_folder(str(box / "vault")) as descriptor:
        room = Room(descriptor, keys)
        for number in range(4 * TRIES):
            if number >= TRIES and taken >= ENOUGH:
                break
            make()
            before = next(filter(None, (_planned(evil) for _ in range(1000))), None)
            assert before is None or before.content == Content(*EMPTY), "the victim was planned"
            steps.move_in(room, [before] if before else [])
            for name in files.names_in(descriptor):
                assert os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_size == 0
                room.drop(name)
                taken += 1
            assert (box / "safe/file").read_bytes() == VICTIM
    assert taken >= ENOUGH


class OnePlace(Places):
    """A table of cron that the attacker exchanges."""

    def __init__(self, path: Path) -> None:
        """Take its path."""
        super().__init__("/nowhere")
        self._path = str(path)

    def __iter__(self) -> Iterator[Place]:
        """Yield it."""
        yield Place(self._path, LINE)


def test_no_other_file_is_ever_disarmed(box: Path) -> None:
    """The same attacker at a place that starts the file, 5,000 tries: the victim, which names it too, stays."""
    table, keys, swapped = box / "attacked/file", VaultKeys(b"k" * 32, lambda: None), 0
    (box / "data").mkdir()
    vaults = Vaults(box / "data", keys)
    found = Persistence(vaults, OnePlace(table), Protected(box / "data"))
    evil = Before("/opt/evil", Content(*EMPTY), "")
    with attacked(box, LINE_OF_CRON) as make:
        (box / "safe/file").write_bytes(VICTIM)
        victim = (box / "safe/file").stat().st_ino
        for number in range(4 * TRIES):
            if number >= TRIES // 4 and swapped >= ENOUGH:
                break
            make()
            starts = [start for start in found.find([evil]) if not start.link]
            with vaults.beside(str(box)) as room:
                for start in starts:
                    with steps.logged("raced"):
                        swap.disarm(room, start, "a", lambda _: None)
                for name in files.names_in(room.descriptor):
                    status = os.stat(name, dir_fd=room.descriptor, follow_symlinks=False)
                    assert status.st_ino != victim
                    swapped += name.endswith(".start")
                    room.drop(name)
            assert (box / "safe/file").stat().st_ino == victim
            assert (box / "safe/file").read_bytes() == VICTIM
    assert swapped >= ENOUGH


def test_control_by_path_another_file_is_moved(box: Path) -> None:
    """The same attacker, and code that looks by path and moves by path: the victim is gone soon."""
    evil = box / "attacked/file"
    with attacked(box) as make:
        for number in range(10 * TRIES):
            make()
            with contextlib.suppress(OSError):
                if not evil.is_symlink() and not evil.read_bytes():
                    evil.rename(box / "vault" / str(number))
            if not (box / "safe/file").exists():
                return
    raise AssertionError("the attacker does nothing")
