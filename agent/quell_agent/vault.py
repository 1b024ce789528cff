"""Where quarantined files lie: one folder a mount, since names move only within one, and the steps in and out.

A file in the vault is some of these, named by its record:

    RECORD.N.raw     name N of the file, moved here as it is
    RECORD.sealed    the file under lock; whole, or not there
    RECORD.out       the file again, with everything it had, not yet back at its names
    RECORD.N.back    a mark: name N was given back
    RECORD.note, RECORD.start    what would start a file again: see persistence/swap.py
    *.part           being written; counts for nothing

Every step leaves the file whole in at least one of its places, and can be done again.
"""

import contextlib
import json
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from quell_agent import files
from quell_agent.before import Before
from quell_agent.vault_file import Manifest, VaultFile, VaultKeys, write
from quell_runtime.locked import VaultDamagedError

PRIVATE = 0o700


class NoVaultError(Exception):
    """There is nowhere on the file's mount where we may make a vault."""


class Room:
    """A vault folder that is open."""

    def __init__(self, descriptor: int, keys: VaultKeys) -> None:
        """Work in a folder by its descriptor."""
        self.descriptor = descriptor
        self.keys = keys

    def has(self, name: str) -> bool:
        """Tell whether there is such a file."""
        return self.identity(name) is not None

    def identity(self, name: str) -> tuple[int, int] | None:
        """Return device and number of a file here, or None if there is none."""
        try:
            status = os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    def drop(self, *names: str) -> None:
        """Delete files; those that are not there are no matter."""
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self.descriptor)
        self.sync()

    def sync(self) -> None:
        """Make what was moved and deleted here durable."""
        os.fsync(self.descriptor)

    def create(self, name: str, fill: Callable[[BinaryIO], None]) -> None:
        """Make a file durably: whole, or not at all."""
        part = f"{name}.part"
        self.drop(part)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(part, flags, 0o600, dir_fd=self.descriptor), "w+b") as out:
            fill(out)
            out.flush()
            os.fsync(out.fileno())
        files.move(self.descriptor, part, self.descriptor, name)
        self.sync()

    def read(self, name: str) -> bytes:
        """Return the bytes of a small file here."""
        with files.opened_file(self.descriptor, name) as file:
            return files.bytes_of(file)

    @contextmanager
    def sealed(self, record: str) -> Iterator[VaultFile]:
        """Open a file under lock.

        Raises:
            VaultDamagedError: It is not there, or does not open.

        """
        with contextlib.ExitStack() as stack:
            try:
                descriptor = os.open(f"{record}.sealed", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.descriptor)
            except FileNotFoundError as error:
                raise VaultDamagedError("it is not there") from error
            yield VaultFile(stack.enter_context(os.fdopen(descriptor, "rb")), self.keys.unwrap)

    def seal(self, group: Sequence[Before], action: str) -> None:
        """Put the moved names of one file under lock, and delete them."""
        moved = [before for before in group if self.has(raw(before))]
        if not moved:
            return
        if not self.has(f"{moved[0].record}.sealed"):
            manifest = Manifest(action, tuple(moved))
            with files.opened_file(self.descriptor, raw(moved[0])) as source:
                fill = lambda out: write(out, source, manifest, self.keys)  # noqa: E731 - it is one line of what is made
                self.create(f"{moved[0].record}.sealed", fill)

    def held(self) -> Iterator[tuple[Manifest, Before]]:
        """Yield every name that is under lock here and was not given back. What does not open is passed over."""
        for name in sorted(files.names_in(self.descriptor)):
            record, _, rest = name.partition(".")
            if rest != "sealed":
                continue
            with contextlib.suppress(VaultDamagedError), self.sealed(record) as sealed:
                yield from ((sealed.manifest, name) for name in sealed.manifest.names if not self.has(back(name)))

    def sweep(self) -> None:
        """Delete what counts for nothing: halves, and marks whose file is wholly given back."""
        for name in files.names_in(self.descriptor):
            stale_mark = name.endswith(".back") and not self.has(f"{name.partition('.')[0]}.sealed")
            if name.endswith(".part") or stale_mark:
                self.drop(name)


def raw(before: Before) -> str:
    """Return what one name of a file is called here while it is not under lock."""
    return f"{before.record}.{before.index}.raw"


def back(before: Before) -> str:
    """Return the mark that one name was given back."""
    return f"{before.record}.{before.index}.back"


class Vaults:
    """Every vault of this agent. The list of their folders is in the data folder, which has the first of them."""

    def __init__(self, data: Path, keys: VaultKeys) -> None:
        """Open the list."""
        self._list = data / "vaults.json"
        self._keys = keys
        first = data.absolute() / "vault"
        first.mkdir(mode=PRIVATE, exist_ok=True)
        self._folders: list[str] = [os.path.realpath(first)]
        if self._list.exists():
            self._folders += json.loads(self._list.read_text(encoding="ascii"))
        for room in self.rooms():
            room.sweep()

    @property
    def device(self) -> str:
        """Whose vaults they are: `devices/{device}`."""
        return self._keys.device

    def rooms(self) -> Iterator[Room]:
        """Yield each vault that can be reached, open until the next is asked for."""
        for folder in self._folders:
            with contextlib.suppress(OSError, NoVaultError), self._opened(folder) as room:
                yield room

    @contextmanager
    def beside(self, parent: str) -> Iterator[Room]:
        """Open the vault on the mount of a folder; make one if there is none.

        Raises:
            NoVaultError: We may not.

        """
        with files.opened_folder(parent) as descriptor:
            mount = files.mount_of(descriptor)
        for room in self.rooms():
            if files.mount_of(room.descriptor) == mount:
                yield room
                return
        with self._opened(self._make(parent, mount)) as room:
            yield room

    @contextmanager
    def holding(self, record: str) -> Iterator[Room | None]:
        """Open the vault that holds anything of a record, or None."""
        for room in self.rooms():
            if any(name.startswith(f"{record}.") for name in files.names_in(room.descriptor)):
                yield room
                return
        yield None

    @contextmanager
    def _opened(self, folder: str) -> Iterator[Room]:
        with files.opened_folder(folder) as descriptor:
            status = os.fstat(descriptor)
            if (status.st_uid, stat.S_IMODE(status.st_mode)) != (os.geteuid(), PRIVATE):
                raise NoVaultError("others can reach it")
            yield Room(descriptor, self._keys)

    def _make(self, parent: str, mount: str) -> str:
        """Make a vault as near to the top of the mount as we may, by a name that nobody can take before us."""
        for folder in _above(parent, mount):
            made = f"{folder.rstrip('/')}/.quell-{secrets.token_hex(8)}"
            try:
                os.mkdir(made, PRIVATE)  # noqa: PTH102 - a path here is a str, bytes that are not UTF-8 too
            except OSError:
                continue
            self._remember(made)
            return made
        raise NoVaultError("there is no place for it")

    def _remember(self, folder: str) -> None:
        self._folders.append(folder)
        part = self._list.with_suffix(".part")
        with part.open("w", encoding="ascii") as out:
            out.write(json.dumps(self._folders[1:]))
            out.flush()
            os.fsync(out.fileno())
        part.rename(self._list)


def _above(folder: str, mount: str) -> list[str]:
    """Return a folder and those above it that lie on one mount, the topmost first."""
    found: list[str] = []
    while True:
        with files.opened_folder(folder) as descriptor:
            if files.mount_of(descriptor) != mount:
                break
        found.append(folder)
        if folder == "/":
            break
        folder = folder.rpartition("/")[0] or "/"
    return found[::-1]
