"""The succession of guards: one answers, another may be about to; who dies or hangs is buried and replaced."""

import os
import select
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from quell_agent.execution import fanotify, guard
from quell_agent.execution.board import Board

TICK = 1000
BETWEEN_STARTS = 1.0
HUNG_AFTER = 10.0
START_WITHIN = 60.0
WORD_BYTES = 4096


@dataclass
class Guard:
    """A guard that was forked. `policy` is the digest of what it decides by; empty until it is ready."""

    pid: int
    link: socket.socket
    start: float
    policy: str = ""

    def end(self) -> None:
        """End it, and wait until it has."""
        self.link.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


@dataclass
class Guards:
    """Those of one group, whose policy lies in `folder`.

    `dead` is what the newest that was ready says is answered while there is none.
    """

    group: int
    folder: Path
    board: Board
    dead: str
    present: Guard | None = None
    successor: Guard | None = None
    starts: int = 0
    _start_at: float | None = None
    _beats: int = -1
    _beaten: float = 0.0

    def links(self) -> list[int]:
        """Return the descriptors to listen on."""
        return [each.link.fileno() for each in (self.successor, self.present) if each]

    def begin(self) -> None:
        """Fork a guard; it answers from when it says that it is ready, and the present one until then."""
        if self.successor:
            self.successor.end()
        self.successor, self._start_at = None, None
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.starts += 1
        pid = os.fork()
        if not pid:
            guard.run(self.group, there, self.folder, self.board)
        there.close()
        self.successor = Guard(pid, here, time.monotonic())

    def end(self) -> None:
        """End all of them."""
        for each in (self.present, self.successor):
            if each:
                each.end()

    def look_after(self, ready: set[int]) -> None:
        """Hear those whose links are ready, bury who hangs, and begin who is due."""
        for each in [each for each in (self.successor, self.present) if each and each.link.fileno() in ready]:
            self._heard(each, _received(each.link))
        now = time.monotonic()
        if self.successor and now > self.successor.start + START_WITHIN:
            self._give_up(self.successor)
        if self.present and self.board.beats != self._beats:
            self._beats, self._beaten = self.board.beats, now
        elif self.present and now > self._beaten + HUNG_AFTER:
            self._bury(self.present)
        if self._start_at is not None and now >= self._start_at:
            self.begin()

    def _heard(self, heard: Guard, said: bytes) -> None:
        if heard is self.successor and said.startswith(guard.READY):
            self._succeed(heard, said)
        elif heard is self.successor:
            self._give_up(heard)
        elif heard is self.present and said == guard.AGAIN:
            self._start_at = time.monotonic() + BETWEEN_STARTS
        elif heard is self.present:
            self._bury(heard)

    def _succeed(self, ready: Guard, said: bytes) -> None:
        if self.present:
            self._retire(self.present)
        ready.policy, self.dead = said.decode().split()[1:]
        self.present, self.successor = ready, None
        self._beats, self._beaten = self.board.beats, time.monotonic()
        # What its predecessor trusted it may not.
        fanotify.ask_again(self.group)

    def _give_up(self, unready: Guard) -> None:
        unready.end()
        self.successor, self._start_at = None, time.monotonic() + BETWEEN_STARTS

    def _retire(self, old: Guard) -> None:
        """Let a guard end what it is at; one that does not is ended."""
        old.link.shutdown(socket.SHUT_WR)
        poll = select.poll()
        poll.register(old.link, select.POLLIN)
        ended = False
        while not ended and poll.poll(TICK):
            ended = not _received(old.link)
        old.end()
        if not ended:
            fanotify.refuse_forgotten(self.group, guard.DESCRIPTORS)

    def _bury(self, dead: Guard) -> None:
        dead.end()
        # What it died over is refused, however the rest is answered.
        fanotify.refuse_forgotten(self.group, guard.DESCRIPTORS)
        self.present = None
        self._start_at = max(time.monotonic(), dead.start + BETWEEN_STARTS)


def _received(link: socket.socket) -> bytes:
    try:
        return link.recv(WORD_BYTES)
    except OSError:
        return b""
