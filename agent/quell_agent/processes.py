"""Processes by the content that they run: found, frozen and stopped without ever hitting a number's next owner."""

import contextlib
import os
import re
import select
import signal
import stat
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from quell_agent import files
from quell_agent.files import Content

REMEMBERED = 20_000
ROUNDS = 20
KILL_SECONDS = 5.0
DELETED = " (deleted)"
INTERPRETER = re.compile(r"(ba|da|z|k|mk|a)?sh|busybox|(python|perl|ruby|node|nodejs|php|lua|tclsh|pypy)[0-9.]*")
# Shells read a script as they go, through a descriptor that they move out of the way.
SCRIPT_DESCRIPTORS = 10


@dataclass(frozen=True, slots=True)
class Running:
    """A process that runs a content: its program, a library that it has mapped, or the script that it holds.

    `start` tells it from a later process of the same number. `path` is where the content lies by the kernel's word;
    `linked` whether it has any name left; `spared` whether it is never stopped, because the machine needs its program.
    """

    pid: int
    start: str
    content: Content
    path: str
    linked: bool
    spared: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """Contents to look for. `sizes` spares reading files that can't be it; empty: any size."""

    matches: Callable[[Content], bool]
    sizes: frozenset[int] = frozenset()


class Processes:
    """What runs on this machine. Digests are remembered by file and time of change, so that a second look is quick.

    `spared` tells, by path and file, the programs that are never stopped for being what they are; `seconds` is how long
    a file may take to be read.
    """

    def __init__(self, spared: Callable[[str, os.stat_result], bool], *, seconds: float = files.READ_SECONDS) -> None:
        """Look nothing up yet."""
        self._spared = spared
        self._seconds = seconds
        self._known: dict[tuple[int, ...], Content | None] = {}

    def running(self, wanted: Wanted, gone: Collection[str] = ()) -> list[Running]:
        """Find every process of a wanted content. `gone` are paths of scripts that were taken away from under it."""
        found = []
        for pid in psutil.pids():
            if pid not in {1, os.getpid()} and not _is_ours(pid):
                # It may end at any moment, or belong to somebody else.
                with contextlib.suppress(OSError, ValueError):
                    found += list(self._look(pid, wanted, gone))[:1]
        return found

    def stoppable(self, wanted: Wanted, gone: Collection[str] = ()) -> list[Running]:
        """Find those that may be stopped."""
        return [each for each in self.running(wanted, gone) if not each.spared]

    def stop(self, wanted: Wanted, gone: Collection[str] = ()) -> bool:
        """Freeze, then kill, until two looks in a row find none; tell whether that came to be.

        All are frozen before the first is killed: otherwise each that dies is started again by another.
        """
        clean = 0
        for _ in range(ROUNDS):
            found = self.stoppable(wanted, gone)
            clean = 0 if found else clean + 1
            if clean == 2:  # noqa: PLR2004 - twice clean
                return True
            with contextlib.ExitStack() as stack:
                held = _handles(found, stack)
                _send(held, signal.SIGSTOP, signal.SIGKILL)
                _wait(held)
        return False

    def freeze(self, wanted: Wanted) -> None:
        """Freeze those that may be stopped, so that they can't put back what is taken away from them."""
        self._signal(wanted, signal.SIGSTOP)

    def thaw(self, wanted: Wanted) -> None:
        """Let those go on that were frozen and not stopped."""
        self._signal(wanted, signal.SIGCONT)

    def _signal(self, wanted: Wanted, sent: signal.Signals) -> None:
        with contextlib.ExitStack() as stack:
            _send(_handles(self.stoppable(wanted), stack), sent)

    def _look(self, pid: int, wanted: Wanted, gone: Collection[str]) -> Iterator[Running]:
        place, start = f"/proc/{pid}", start_of(pid)
        program = _target(f"{place}/exe")
        content = self._content(f"{place}/exe", wanted)
        if content is not None and wanted.matches(content):
            spared = self._spared(program, os.stat(f"{place}/exe"))  # noqa: PTH116 - a magic link
            yield replace(_running(pid, start, content, f"{place}/exe"), spared=spared)
            return
        for link in _libraries(place):
            content = self._content(link, wanted)
            if content is not None and wanted.matches(content):
                yield _running(pid, start, content, link)
        if INTERPRETER.fullmatch(program.rpartition("/")[2]):
            yield from self._script(pid, start, wanted, gone)

    def _script(self, pid: int, start: str, wanted: Wanted, gone: Collection[str]) -> Iterator[Running]:
        place = f"/proc/{pid}"
        for held in Path(place, "fd").iterdir():
            content = self._content(str(held), wanted) if int(held.name) >= SCRIPT_DESCRIPTORS else None
            if content is not None and wanted.matches(content):
                yield _running(pid, start, content, str(held))
        arguments = Path(place, "cmdline").read_bytes().split(b"\0")[1:]
        script = next((os.fsdecode(argument) for argument in arguments if not argument.startswith(b"-")), "")
        path = os.path.normpath(Path(place, "cwd").readlink() / script)
        # As that process sees it: in a container the same path is another file.
        seen = f"{place}/root{script}" if script.startswith("/") else f"{place}/cwd/{script}"
        content = self._content(seen, wanted) if script else None
        if content is not None and wanted.matches(content):
            yield Running(pid, start, content, os.path.realpath(path), linked=True)
        elif script and path in gone and not os.path.lexists(seen):
            yield Running(pid, start, Content(), path, linked=False)

    def _content(self, link: str, wanted: Wanted) -> Content | None:
        with contextlib.suppress(OSError):
            status = os.stat(link)  # noqa: PTH116 - a magic link: right for deleted files too
            if not stat.S_ISREG(status.st_mode) or (wanted.sizes and status.st_size not in wanted.sizes):
                return None
            if (known := self._known.get(_key(status))) is not None:
                return known
            descriptor = files.open_again(link)
            try:
                return self.content_of(descriptor)
            finally:
                os.close(descriptor)
        return None

    def content_of(self, descriptor: int) -> Content:
        """Return the digests of a file that is open, as they were when it last changed.

        Raises:
            EndlessError: It can't be read to its end in time. That is remembered as well.

        """
        key = _key(os.fstat(descriptor))
        if key not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            try:
                self._known[key] = files.content_of(descriptor, self._seconds)
            except files.EndlessError:
                self._known[key] = None
        if (found := self._known[key]) is None:
            raise files.EndlessError
        return found


def _key(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def start_of(pid: int) -> str:
    """Return when a process started, in the kernel's ticks."""
    return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19].decode()


def _running(pid: int, start: str, content: Content, link: str) -> Running:
    return Running(pid, start, content, _target(link), linked=os.stat(link).st_nlink > 0)  # noqa: PTH116 - a magic link


def _target(link: str) -> str:
    return str(Path(link).readlink()).removesuffix(DELETED)


def _libraries(place: str) -> Iterator[str]:
    """Yield a way to open each file that a process has mapped to run, its program aside."""
    program = os.stat(f"{place}/exe")  # noqa: PTH116 - a magic link
    seen = {str(program.st_ino)}
    with Path(place, "maps").open(encoding="utf-8", errors="surrogateescape") as maps:
        for line in maps:
            span, rights, _, _, inode, *path = line.rstrip("\n").split(None, 5)
            if "x" in rights and inode != "0" and path and inode not in seen:
                seen.add(inode)
                exact = f"{place}/map_files/{span}"
                # Without the right to look there, the path must do, if it is still that file.
                yield exact if os.access(exact, os.R_OK) else path[0]


def _is_ours(pid: int) -> bool:
    """Tell whether it is another process of this agent: by whose child it is, and by the module that it runs."""
    try:
        parent = int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
        if parent != os.getpid() and pid != os.getppid():
            return False
        return any(word.startswith(b"quell_agent.") for word in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"))
    except OSError:
        return False


def _handles(found: Iterable[Running], stack: contextlib.ExitStack) -> list[int]:
    return [handle for running in found if (handle := _handle(running, stack)) is not None]


def _send(handles: Iterable[int], *signals: signal.Signals) -> None:
    """Send each of the signals to all, before the next."""
    for sent in signals:
        for handle in handles:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(handle, sent)


def _handle(running: Running, stack: contextlib.ExitStack) -> int | None:
    """Hold on to a process; None if the number is another's by now."""
    try:
        handle = os.pidfd_open(running.pid)
    except ProcessLookupError:
        return None
    stack.callback(os.close, handle)
    try:
        return handle if start_of(running.pid) == running.start else None
    except OSError:
        return None


def _wait(handles: list[int]) -> None:
    poll, left, end = select.poll(), set(handles), time.monotonic() + KILL_SECONDS
    for handle in handles:
        poll.register(handle, select.POLLIN)
    while left and (rest := end - time.monotonic()) > 0:
        for handle, _ in poll.poll(rest * 1000):
            poll.unregister(handle)
            left.discard(handle)
