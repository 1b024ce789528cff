"""File work by descriptors of directories, so that a link put in the way leads nowhere."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NO_REPLACE = 1
_EXCHANGE = 2
MOST_TEXT = 64 << 20
"""Bytes of a file that is read at once: its mailbox's user may have made it as large as the disk, or larger."""
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def directory(name: str | os.PathLike[str], within: int | None = None) -> Iterator[int]:
    """Open a directory that is no link, and close it afterwards."""
    found = os.open(name, _DIRECTORY, dir_fd=within)
    try:
        yield found
    finally:
        os.close(found)


@contextmanager
def regular(name: str, within: int) -> Iterator[int]:
    """Open a file for reading that is no link, and close it afterwards."""
    found = os.open(name, _FILE, dir_fd=within)
    try:
        yield found
    finally:
        os.close(found)


def listed(handle: int) -> list[str]:
    """Return the names in an open directory."""
    return os.listdir(handle)


def read_text(name: str, within: int) -> str | None:
    """Return a small text file, or None if there is none, or one that nobody honest wrote."""
    try:
        with (
            regular(name, within) as found,
            open(found, encoding="utf-8", errors="surrogateescape", closefd=False) as text,
        ):
            return text.read() if os.fstat(found).st_size <= MOST_TEXT else None
    except FileNotFoundError:
        return None


def move(source: int, name: str, target: int, new_name: str) -> None:
    """Rename from one directory to another, never over something that is there.

    Raises:
        OSError: `EEXIST`: something is there; `ENOENT`: it is gone.

    """
    if _libc.renameat2(source, os.fsencode(name), target, os.fsencode(new_name), _NO_REPLACE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def exchange(within: int, one: str, other: str) -> None:
    """Swap two names of a directory: at no time is either missing.

    Raises:
        OSError: `ENOENT`: one is gone.

    """
    if _libc.renameat2(within, os.fsencode(one), within, os.fsencode(other), _EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def write_durably(name: str, content: bytes, within: int) -> None:
    """Write a file as a whole, its bytes on the disk before its name; the directory is the caller's to fsync."""
    fresh = f"{name}.new"
    found = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=within)
    try:
        with open(found, "wb", closefd=False) as file:
            file.write(content)
        os.fsync(found)
    finally:
        os.close(found)
    os.rename(fresh, name, src_dir_fd=within, dst_dir_fd=within)
