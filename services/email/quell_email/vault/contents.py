"""Bytes under lock in one folder: a file for each content, named by its SHA-256. Everything here blocks."""

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from quell_runtime import locked
from quell_runtime.data_keys import DataKeys
from quell_runtime.locked import Locked, VaultDamagedError
from quell_runtime.seams import Point, nowhere

PART = ".part"


class Contents:
    """The folder. A content is there as a whole or not at all."""

    def __init__(self, folder: Path, keys: DataKeys, point: Point = nowhere) -> None:
        """Keep contents in a folder, made if it is not there, locked by these keys."""
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = folder
        self._keys = keys
        self._point = point

    def write(self, sha256: str, content: bytes) -> None:
        """Store a content under its SHA-256, unless it is there; its name is durable with the next `sync`.

        Raises:
            OSError: It can't be stored: the disk is full.

        """
        path = self._folder / sha256
        if not path.exists():
            # Two threads may store the same at once: each writes its own.
            part = path.with_name(f"{sha256}.{os.urandom(4).hex()}{PART}")
            try:
                self._lock(part, content)
                self._point("vault.written")
                part.rename(path)
            except OSError:
                part.unlink(missing_ok=True)
                raise

    def read(self, sha256: str) -> bytes:
        """Return a content.

        Raises:
            VaultDamagedError: It is not there, or not what was put there.

        """
        try:
            with (self._folder / sha256).open("rb") as source:
                content = b"".join(Locked(source, self._keys.unwrap).blocks())
        except FileNotFoundError:
            raise VaultDamagedError("it is not there") from None
        if hashlib.sha256(content).hexdigest() != sha256:
            raise VaultDamagedError("it is another content")
        return content

    def drop(self, digests: Iterable[str]) -> None:
        """Delete contents; those that are not there are no matter."""
        for sha256 in digests:
            with suppress(FileNotFoundError):
                (self._folder / sha256).unlink()
        self.sync()

    def among(self, digests: Iterable[str]) -> set[str]:
        """Return those that lie here."""
        return {sha256 for sha256 in digests if (self._folder / sha256).exists()}

    def names(self) -> set[str]:
        """Return what lies here, halves that a crash left included."""
        return {entry.name for entry in os.scandir(self._folder)}

    def _lock(self, part: Path, content: bytes) -> None:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as out:
            locked.write(out, lambda offset: content[offset : offset + locked.CHUNK], b"", self._keys)
            out.flush()
            os.fsync(out.fileno())

    def sync(self) -> None:
        """Make names durable that were written and deleted."""
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
