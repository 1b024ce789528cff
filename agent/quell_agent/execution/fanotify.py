"""The kernel's fanotify permission events, by ctypes: a group that is asked before a file is opened or started.

Numbers are those of `linux/fanotify.h`. Nothing here opens a file on a disk: whoever answers for a file system would
wait for itself.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FAN_CLOEXEC, FAN_NONBLOCK, FAN_CLASS_CONTENT, FAN_UNLIMITED_QUEUE, FAN_UNLIMITED_MARKS = 0x1, 0x2, 0x4, 0x10, 0x20
FAN_MARK_ADD, FAN_MARK_IGNORED_MASK, FAN_MARK_FLUSH = 0x1, 0x20, 0x80
FAN_MARK_FILESYSTEM, FAN_MARK_EVICTABLE = 0x100, 0x200
OPEN, EXEC = 0x10000, 0x40000
ALLOW, DENY = 1, 2

EVENT = struct.Struct("=IBBHQii")
ANSWER = struct.Struct("=iI")
AT_FDCWD = -100
# Non-blocking: a FIFO must not hold us. Without access time: looking leaves no trace.
SEEN_AS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOATIME | getattr(os, "O_LARGEFILE", 0)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fanotify_mark.argtypes = [ctypes.c_int, ctypes.c_uint, ctypes.c_uint64, ctypes.c_int, ctypes.c_char_p]


@dataclass(frozen=True, slots=True)
class Event:
    """One question: whether the process `pid` may open (or start: `starts`) what the descriptor shows."""

    descriptor: int
    pid: int
    starts: bool


def group() -> int:
    """Make a group that is asked before anything is opened, and return its descriptor."""
    flags = FAN_CLASS_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS
    return _checked(_libc.fanotify_init(flags, SEEN_AS))


def watch(group: int, path: bytes) -> None:
    """Ask about every open and start on the whole file system at a path, whichever mount it is reached by."""
    _mark(group, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, OPEN | EXEC, path)


def ask_no_more(group: int, descriptor: int, mask: int) -> None:
    """Let the kernel allow this file by itself until it is written to.

    The kernel remembers the file and not who asked, and a write through a shared mapping does not make it forget: only
    for files that whoever asks may open and that nobody but root can change.
    """
    path = b"/proc/self/fd/%d" % descriptor
    try:
        _mark(group, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK | FAN_MARK_EVICTABLE, mask, path)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        _mark(group, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK, mask, path)


def ask_again(group: int) -> None:
    """Forget every file that the kernel allows by itself."""
    _mark(group, FAN_MARK_FLUSH, 0, b"/")


def next_event(group: int) -> Event | None:
    """Return the next question, if there is one. What the kernel could not show us it has refused by itself."""
    try:
        # One at a time: who dies then leaves one question behind, not a buffer full.
        read = os.read(group, EVENT.size)
    except OSError:
        return None
    if len(read) < EVENT.size:
        return None
    _, _, _, _, mask, descriptor, pid = EVENT.unpack(read)
    return Event(descriptor, pid, bool(mask & EXEC)) if descriptor >= 0 else None


def answer(group: int, event: Event, *, allowed: bool) -> None:
    """Answer a question, and close what it showed.

    Closed first: while we hold a FIFO open, its writer would believe that somebody reads. The number stays the
    question's name until it is answered.
    """
    os.close(event.descriptor)
    os.write(group, ANSWER.pack(event.descriptor, ALLOW if allowed else DENY))


def refuse_forgotten(group: int, below: int) -> None:
    """Refuse the questions that somebody with fewer than `below` descriptors read, and died over."""
    for descriptor in range(below):
        try:
            os.write(group, ANSWER.pack(descriptor, DENY))
        except FileNotFoundError:
            continue


def watched(pid: int) -> frozenset[str]:
    """Return the file systems that a process watches, as `major:minor`."""
    return frozenset(_watched(Path(f"/proc/{pid}/fdinfo")))


def _watched(folder: Path) -> Iterator[str]:
    for entry in folder.iterdir():
        try:
            content = entry.read_text(encoding="utf-8")
        except OSError:
            continue
        for line in content.splitlines():
            if line.startswith("fanotify sdev:"):
                device = int(line.split()[1].partition(":")[2], 16)
                yield f"{device >> 20}:{device & 0xFFFFF}"


def missing() -> str:
    """Return why this machine can't be asked before programs start; empty: it can."""
    if os.geteuid() != 0:
        return "only root may decide what starts"
    try:
        descriptor = group()
    except OSError as error:
        return f"the kernel has no fanotify permission events: {os.strerror(error.errno or 0)}"
    try:
        # Flags are checked before the path is looked up, so nothing is watched by this.
        watch(descriptor, b"/proc/self/fd/none")
    except FileNotFoundError:
        return ""
    except OSError:
        return "the kernel can't ask before programs start: it needs Linux 5.0 with fanotify permission events"
    finally:
        os.close(descriptor)
    raise AssertionError("a path that can't exist does")


def _mark(group: int, flags: int, mask: int, path: bytes) -> None:
    _checked(_libc.fanotify_mark(group, flags, mask, AT_FDCWD, path))


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
