"""The guardian: a small process that holds the kernel's group, and has a guard answer for it.

It outlives the agent. While no guard lives (it starts, it died, it hung and was ended) the guardian answers by itself,
so that nobody waits for ever; a guard that is to be replaced answers until its successor is ready. If the guardian dies
the guard dies with it, and the kernel asks nobody any more.

    python -I -m quell_agent.execution.guardian FOLDER ROOT

`FOLDER` holds the policy and the socket; file systems at or below `ROOT` are watched.
"""

import fcntl
import json
import os
import select
import signal
import socket
import stat
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from quell_agent.execution import fanotify, guard, mounts, openers
from quell_agent.execution.board import Board
from quell_agent.execution.fanotify import Event
from quell_agent.execution.policy import CLOSED, Policy, is_roots_alone
from quell_agent.execution.trust import login_paths, path_of

POLICY, SOCKET = "policy.json", "guardian.sock"
STATUS, RESTRICT, RELEASE = b"status", b"restrict", b"release"
TICK = 1000
BETWEEN_STARTS = 1.0
BETWEEN_LOOKS = 1.0
HUNG_AFTER = 10.0
START_WITHIN = 60.0
CONNECTIONS = 8
ANSWER_BYTES = 4096
LOCK_WITHIN = 10


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
class Guardian:
    """What it holds. `wanted` is the digest of the policy that the newest guard was begun for."""

    folder: Path
    root: str
    group: int
    listener: socket.socket
    wanted: str
    dead: str
    login: frozenset[str]
    board: Board = field(default_factory=Board)
    clients: dict[int, socket.socket] = field(default_factory=dict)
    guard: Guard | None = None
    successor: Guard | None = None
    start_at: float | None = None
    starts: int = 0
    beats: int = -1
    beaten: float = 0.0
    watched: set[str] = field(default_factory=set)
    not_watched: set[str] = field(default_factory=set)

    def run(self) -> NoReturn:
        """Hold the group until somebody lets go of it."""
        with Path("/proc/self/mountinfo").open("rb") as changes:
            self.begin_guard()
            self.watch()
            looked = time.monotonic()
            while True:
                poll = select.poll()
                poll.register(changes, select.POLLPRI)
                for descriptor in self._listened():
                    poll.register(descriptor, select.POLLIN)
                ready = {descriptor for descriptor, _ in poll.poll(TICK)}
                self._look_after_guards(ready)
                self._serve(ready)
                if changes.fileno() in ready or time.monotonic() > looked + BETWEEN_LOOKS:
                    self.watch()
                    looked = time.monotonic()

    def _listened(self) -> list[int]:
        guards = [each.link.fileno() for each in (self.guard, self.successor) if each]
        # With a guard the questions are its own.
        group = [] if self.guard else [self.group]
        listener = [self.listener.fileno()] if len(self.clients) < CONNECTIONS else []
        return [*listener, *self.clients, *guards, *group]

    def watch(self) -> None:
        """Watch every file system that is not watched yet."""
        found = mounts.mounted(self.root)
        # A number is given again once its file system is gone.
        self.watched &= found.keys()
        self.not_watched &= found.keys()
        for device in found.keys() - self.watched - self.not_watched:
            try:
                fanotify.watch(self.group, found[device])
                self.watched.add(device)
            except OSError:
                self.not_watched.add(device)

    def begin_guard(self) -> None:
        """Fork a guard; it answers from when it says that it is ready."""
        if self.successor:
            self.successor.end()
        self.successor = None
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.start_at = None
        self.starts += 1
        pid = os.fork()
        if not pid:
            guard.run(self.group, there, self.folder / POLICY, self.board)
        there.close()
        self.successor = Guard(pid, here, time.monotonic())

    def _look_after_guards(self, ready: set[int]) -> None:
        for each in [each for each in (self.successor, self.guard) if each and each.link.fileno() in ready]:
            self._heard(each, _received(each.link))
        now = time.monotonic()
        if self.successor and now > self.successor.start + START_WITHIN:
            self._give_up(self.successor)
        if self.guard and self.board.beats != self.beats:
            self.beats, self.beaten = self.board.beats, now
        elif self.guard and now > self.beaten + HUNG_AFTER:
            self._bury(self.guard)
        if not self.guard:
            self._answer()
        if self.start_at is not None and now >= self.start_at:
            self.begin_guard()

    def _heard(self, heard: Guard, said: bytes) -> None:
        if heard is self.successor and said.startswith(guard.READY):
            self._succeed(heard, said)
        elif heard is self.successor:
            self._give_up(heard)
        elif heard is self.guard and said == guard.AGAIN:
            self.start_at = time.monotonic() + BETWEEN_STARTS
        elif heard is self.guard:
            self._bury(heard)

    def _succeed(self, ready: Guard, said: bytes) -> None:
        if self.guard:
            self._retire(self.guard)
        ready.policy, self.dead = said.decode().split()[1:]
        self.guard, self.successor = ready, None
        self.beats, self.beaten = self.board.beats, time.monotonic()
        # What its predecessor trusted it may not.
        fanotify.ask_again(self.group)

    def _give_up(self, unready: Guard) -> None:
        unready.end()
        self.successor, self.start_at = None, time.monotonic() + BETWEEN_STARTS

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
        self.guard = None
        self.start_at = max(time.monotonic(), dead.start + BETWEEN_STARTS)

    def _answer(self) -> None:
        while event := fanotify.next_event(self.group):
            fanotify.answer(self.group, event, allowed=self._may(event))

    def _may(self, event: Event) -> bool:
        """Decide without a guard: all, or what loads no program, what our own do, and how root comes in."""
        if self.dead != CLOSED or event.pid == (self.successor.pid if self.successor else -1):
            return True
        try:
            status = os.fstat(event.descriptor)
            if not stat.S_ISREG(status.st_mode):
                return True
            if not event.starts and os.pread(event.descriptor, 4, 0) != b"\x7fELF":
                return True
            path = path_of(event.descriptor, status)
        except OSError:
            return False
        if openers.is_of(event.pid, self.board.ours):
            return True
        return path in self.login and path is not None and is_roots_alone(path)

    def _serve(self, ready: set[int]) -> None:
        if self.listener.fileno() in ready:
            client, _ = self.listener.accept()
            client.settimeout(1)
            self.clients[client.fileno()] = client
            self._know_ours()
        for descriptor in [each for each in self.clients if each in ready]:
            self._hear(descriptor, self.clients[descriptor])

    def _hear(self, descriptor: int, client: socket.socket) -> None:
        try:
            asked = client.recv(ANSWER_BYTES)
            if asked == RELEASE:
                self._let_go()
            word, _, wanted = asked.partition(b" ")
            if word == RESTRICT and wanted.decode() != self.wanted:
                self.wanted = wanted.decode()
                self.begin_guard()
            if asked:
                client.send(self._status())
                return
        except OSError:
            pass
        del self.clients[descriptor]
        client.close()
        self._know_ours()

    def _know_ours(self) -> None:
        credentials = (each.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12) for each in self.clients.values())
        self.board.ours = frozenset(int.from_bytes(each[:4], sys.byteorder) for each in credentials)

    def _status(self) -> bytes:
        status = {
            "policy": self.guard.policy if self.guard else "",
            "guard": self.guard.pid if self.guard else 0,
            "starts": self.starts,
            "refused": self.board.refused,
            "not_watched": len(self.not_watched),
        }
        return json.dumps(status).encode()

    def _let_go(self) -> NoReturn:
        """Watch nothing any more, then hang up: who asked for it knows by that."""
        for each in (self.guard, self.successor):
            if each:
                each.end()
        os.close(self.group)
        os._exit(0)


def main() -> None:
    """Detach from whoever started it, and hold on."""
    folder, root = Path(sys.argv[1]), sys.argv[2]
    # Held for life: who has it is the one guardian of this folder.
    holder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    signal.alarm(LOCK_WITHIN)
    fcntl.flock(holder, fcntl.LOCK_EX)
    signal.alarm(0)
    policy = Policy.load((folder / POLICY).read_text(encoding="utf-8"))
    login = frozenset(login_paths(policy.login))
    reader, writer = os.pipe()
    if os.fork():
        # Until it can be asked, or is dead.
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nothing, descriptor)
    try:
        _be_spared()
        listener = _listener(holder)
        os.close(writer)
        Guardian(folder, root, fanotify.group(), listener, policy.digest, policy.dead, login).run()
    finally:
        # No traceback: it reads files, which nobody may be there to answer for.
        os._exit(1)


def _listener(holder: int) -> socket.socket:
    """Listen in a folder, reached by its descriptor: a socket's path may only have 107 bytes."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    name = f"/proc/self/fd/{holder}/{SOCKET}"
    Path(name).unlink(missing_ok=True)
    listener.bind(name)
    # Whoever connects is told who called this: the guardian, not the process that has detached it.
    listener.listen(CONNECTIONS)
    return listener


def _received(link: socket.socket) -> bytes:
    try:
        return link.recv(ANSWER_BYTES)
    except OSError:
        return b""


def _be_spared() -> None:
    """Be the last to be ended for want of memory."""
    try:
        Path("/proc/self/oom_score_adj").write_text("-1000", encoding="utf-8")
    except OSError:
        return


if __name__ == "__main__":
    main()
