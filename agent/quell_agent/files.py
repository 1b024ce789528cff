r"""Files by descriptor, so that nobody can swap another object under a name between look and touch.

A path is opened once, without following any link, and what is done to the file is done through that descriptor or
through its folder's. A path in memory is a `str` as `os.fsdecode` makes it; in messages a byte that is not UTF-8 is
written `\xHH` and a backslash `\\`.
"""

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import os
import re
import stat
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
SYS_OPENAT2 = 437  # the same number on every architecture
RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS = 0x02, 0x04
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
GET_FLAGS, SET_FLAGS = 0x80086601, 0x40086602
APPEND, IMMUTABLE = 0x20, 0x10
KEPT_FLAGS = APPEND | IMMUTABLE | 0x40 | 0x80  # and those against dump and access times
CHUNK = 1 << 20
READ_SECONDS = 600.0
"""Nobody waits longer for the end of a file."""
SPARSE_FROM, SPARSE_SHARE = 64 << 20, 8


class NotAFileError(Exception):
    """It is a folder, a pipe, a device or a socket."""


class EndlessError(OSError):
    """A file was not read to its end in time: it has too many bytes, or gives them too slowly."""


@dataclass(frozen=True, slots=True)
class Content:
    """A file's content, by its digests in hex; of a wanted content, an empty one matches any."""

    sha256: str = ""
    sha1: str = ""

    def matches(self, found: "Content") -> bool:
        """Tell whether what was found is what is wanted."""
        return self.sha256 in {"", found.sha256} and self.sha1 in {"", found.sha1}


def _open(path: str, flags: int) -> int:
    """Open an absolute path of which no part is a link."""
    if "\0" in path:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    how = struct.pack("QQQ", flags | os.O_CLOEXEC, 0, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)
    found: int = LIBC.syscall(SYS_OPENAT2, -100, os.fsencode(path), how, len(how))
    if found < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
    return found


@contextmanager
def opened_folder(path: str) -> Iterator[int]:
    """Open a folder, no part of whose path is a link."""
    try:
        descriptor = _open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOATIME)
    except PermissionError:
        descriptor = _open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def opened_file(folder: int, name: str) -> Iterator[int]:
    """Open a regular file in a folder for reading.

    It is looked at before it is opened, since opening a pipe waits and opening a device does things; then that very
    object is opened, whatever the name means by now. Its access time is left alone where we may.

    Raises:
        NotAFileError: It is something else, a link too.

    """
    look = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(look).st_mode):
            raise NotAFileError(name)
        descriptor = open_again(f"/proc/self/fd/{look}")
    finally:
        os.close(look)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_again(path: str) -> int:
    """Open for reading what a link of `/proc` stands for."""
    try:
        return os.open(path, os.O_RDONLY | os.O_NOATIME | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def blocks_of(descriptor: int, size: int, seconds: float = READ_SECONDS) -> Iterator[bytes]:
    """Yield so many bytes, or what there is of them: a file that grows faster than it is read has an end this way.

    Raises:
        EndlessError: Not within so many seconds.

    """
    offset, end = 0, time.monotonic() + seconds
    while block := os.pread(descriptor, min(CHUNK, size - offset), offset):
        if offset and time.monotonic() > end:
            raise EndlessError(errno.EFBIG, os.strerror(errno.EFBIG))
        yield block
        offset += len(block)


def content_of(descriptor: int, seconds: float = READ_SECONDS) -> Content:
    """Read what is in a file now; what is added meanwhile is not.

    Raises:
        EndlessError: As `blocks_of` has it.

    """
    return digests_of(blocks_of(descriptor, os.fstat(descriptor).st_size, seconds))


def digests_of(blocks: Iterable[bytes]) -> Content:
    """Return the digests of a content."""
    sha256, sha1 = hashlib.sha256(), hashlib.sha1(usedforsecurity=False)
    for block in blocks:
        sha256.update(block)
        sha1.update(block)
    return Content(sha256.hexdigest(), sha1.hexdigest())


def is_sparse_giant(status: os.stat_result) -> bool:
    """Tell whether a large file is mostly holes: it costs its maker nothing, and its reader as much as it says."""
    return status.st_size > SPARSE_FROM and status.st_blocks * 512 * SPARSE_SHARE < status.st_size


def bytes_of(descriptor: int, most: int = 16 << 20) -> bytes:
    """Read a small file; of a larger one, its beginning and a byte more."""
    blocks, offset = [], 0
    while offset <= most and (block := os.pread(descriptor, min(CHUNK, most + 1 - offset), offset)):
        blocks.append(block)
        offset += len(block)
    return b"".join(blocks)


def move(source: int, name: str, target: int, new_name: str) -> None:
    """Rename between two folders of one mount; what is there already is never replaced."""
    _rename(source, name, target, new_name, RENAME_NOREPLACE)


def exchange(left: int, name: str, right: int, other: str) -> None:
    """Let two names of one mount change places, in one step."""
    _rename(left, name, right, other, RENAME_EXCHANGE)


def _rename(source: int, name: str, target: int, new_name: str, how: int) -> None:
    if LIBC.renameat2(source, os.fsencode(name), target, os.fsencode(new_name), how) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), new_name)


def flags_of(descriptor: int) -> int:
    """Return the attributes that forbid changes and the like (`chattr`); 0 where the file system has none."""
    field = bytearray(8)
    try:
        fcntl.ioctl(descriptor, GET_FLAGS, field, True)  # noqa: FBT003 - the call's own way
    except OSError:
        return 0
    return int.from_bytes(field[:4], "little") & KEPT_FLAGS


def set_flags(descriptor: int, flags: int) -> None:
    """Set these of the kept attributes and clear the others; nothing is called where nothing changes."""
    if flags_of(descriptor) == flags:
        return
    field = bytearray(8)
    fcntl.ioctl(descriptor, GET_FLAGS, field, True)  # noqa: FBT003 - the call's own way
    others = int.from_bytes(field[:4], "little") & ~KEPT_FLAGS
    fcntl.ioctl(descriptor, SET_FLAGS, (others | flags).to_bytes(8, "little"))


def mount_of(descriptor: int) -> str:
    """Return the id of the mount that a descriptor lies on: names move only within one."""
    lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii").splitlines()
    return next(line.split()[1] for line in lines if line.startswith("mnt_id:"))


def walk(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """Go through the regular files below a folder, on its mount alone, without following links.

    What can't be read, or goes away meanwhile, is passed over.
    """
    left, mount = [folder], ""
    while left:
        path = left.pop()
        try:
            with opened_folder(path) as descriptor:
                mount = mount or mount_of(descriptor)
                entries = list(_entries(descriptor)) if mount_of(descriptor) == mount else []
        except OSError:
            continue
        for name, status in entries:
            child = f"{path.rstrip('/')}/{name}"
            if stat.S_ISDIR(status.st_mode):
                left.append(child)
            elif stat.S_ISREG(status.st_mode):
                yield child, status


def resolved(path: str) -> str:
    """Return where a path leads now, all links followed; the path itself if that changes while we look."""
    try:
        return os.path.realpath(path)
    except OSError:
        return path


def names_in(folder: int) -> list[str]:
    """List a folder."""
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def _entries(folder: int) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                yield entry.name, entry.stat(follow_symlinks=False)


def shown(path: str) -> str:
    """Return a path as messages write it."""
    text = path.replace("\\", "\\\\")
    return re.sub(r"[\udc80-\udcff]", lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", text)


def meant(text: str) -> str:
    """Return the path that a message means, in its shortest form.

    Links are not followed, so `..` is nothing but the name above.
    """

    def byte(found: re.Match[str]) -> str:
        return "\\" if found[0] == "\\\\" else os.fsdecode(bytes.fromhex(found[1]))

    # Bytes that were written one by one may together be a character.
    path = os.fsdecode(os.fsencode(re.sub(r"\\\\|\\x([0-9a-fA-F]{2})", byte, text)))
    return "/" + os.path.normpath(path).lstrip("/") if path else ""
