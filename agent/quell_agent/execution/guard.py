"""The guard: the process that answers. It is born with its policy and never told another; a change is a new guard.

Once it is ready it opens nothing on a disk, since it would have to answer itself.
"""

import ctypes
import os
import resource
import select
import signal
import socket
import stat
from pathlib import Path
from typing import NoReturn

from quell_agent.execution import fanotify, openers, saved
from quell_agent.execution.board import Board
from quell_agent.execution.fanotify import EXEC, OPEN, Event
from quell_agent.execution.policy import is_roots
from quell_agent.execution.trust import Trust

READY, AGAIN = b"ready ", b"again"
DESCRIPTORS = 64
"""How many a guard may have, so that whoever answers for a dead one knows which numbers it could have been asked by."""
SECOND = 1000
LOG = "/dev/log"
WARNING = 84
"""Facility authpriv, severity warning (RFC 3164, 4.1.1)."""
_PR_SET_PDEATHSIG = 1


class Judge:
    """Answers questions; `board` counts, `trust` knows the files."""

    def __init__(self, group: int, trust: Trust, board: Board) -> None:
        """Take what it is asked through."""
        self._group = group
        self._trust = trust
        self._board = board
        self._log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def settle(self, event: Event) -> bool:
        """Answer one question. Return whether it was allowed."""
        try:
            allowed = self._may(event)
        except OSError:
            # It can't be read: then it can't be run either.
            allowed = False
        if not allowed:
            self._board.count_refused()
            self._tell(event)
        fanotify.answer(self._group, event, allowed=allowed)
        return allowed

    def is_outdated(self) -> bool:
        """Tell whether packages came or went since this judge was made."""
        return self._trust.packages.changed()

    def _may(self, event: Event) -> bool:
        status = os.fstat(event.descriptor)
        if not stat.S_ISREG(status.st_mode):
            return True
        if event.starts:
            return self._is_trusted(event, status)
        head = os.pread(event.descriptor, 4, 0)
        if head == b"\x7fELF":
            # Whoever opens a program may be about to map it: a loader, a library's user. Who copies it looks the same.
            return self._is_trusted(event, status) or openers.is_of(event.pid, self._board.ours)
        if head.startswith(b"#!") or self._is_named_as_script(event):
            if self._is_trusted(event, status):
                return True
            # Never remembered: allowed is who asks, not the file.
            return not openers.interprets(event.pid) or openers.is_of(event.pid, self._board.ours)
        self._remember(event, status, OPEN)
        return True

    def _is_trusted(self, event: Event, status: os.stat_result) -> bool:
        trusted = self._trust.trusts(event.descriptor)
        if trusted:
            self._remember(event, status, OPEN | EXEC)
        return trusted

    def _remember(self, event: Event, status: os.stat_result, mask: int) -> None:
        if is_roots(status):
            fanotify.ask_no_more(self._group, event.descriptor, mask)

    def _is_named_as_script(self, event: Event) -> bool:
        return os.readlink(f"/proc/self/fd/{event.descriptor}").endswith(openers.SUFFIXES)  # noqa: PTH115 - a text

    def _tell(self, event: Event) -> None:
        """Say so in the system's log, if that takes it at once: the log may be waiting for us."""
        try:
            path = os.readlink(f"/proc/self/fd/{event.descriptor}")  # noqa: PTH115 - a text
            line = f"<{WARNING}>quell-guard: refused {path!r} to process {event.pid}"
            self._log.sendto(line.encode("utf-8", "backslashreplace"), LOG)
        except OSError:
            return


def run(group: int, link: socket.socket, folder: Path, board: Board) -> NoReturn:
    """Be a guard until the guardian hangs up, in a process that was just forked by it."""
    code = 1
    try:
        _settle_in({group, link.fileno()})
        policy = saved.read(folder)
        judge = Judge(group, Trust(policy, board.beat), board)
        link.send(READY + f"{policy.digest} {policy.dead}".encode())
        _answer(group, link, judge, board)
        code = 0
    finally:
        # No clean-up and no traceback: both may open files.
        os._exit(code)


def _settle_in(kept: set[int]) -> None:
    """Die with the guardian, and hold nothing of what it holds besides."""
    guardian = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != guardian:
        os._exit(1)
    for descriptor in [int(each) for each in os.listdir("/proc/self/fd")]:  # noqa: PTH208 - names only
        if descriptor > 2 and descriptor not in kept:  # noqa: PLR2004 - standard error
            try:
                os.close(descriptor)
            except OSError:
                continue
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))


def _answer(group: int, link: socket.socket, judge: Judge, board: Board) -> None:
    poll = select.poll()
    poll.register(group, select.POLLIN)
    poll.register(link, select.POLLIN)
    asked_again = False
    while True:
        ready = {descriptor for descriptor, _ in poll.poll(SECOND)}
        board.beat()
        if link.fileno() in ready:
            return
        if group in ready and (event := fanotify.next_event(group)):
            allowed = judge.settle(event)
            if not allowed and not asked_again and judge.is_outdated():
                # What was installed since is not known to us; who comes next will know it.
                asked_again = True
                link.send(AGAIN)
