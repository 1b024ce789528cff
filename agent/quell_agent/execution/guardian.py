"""The guardian: a small process that holds the kernel's group, and has a guard answer for it.

It outlives the agent. Nothing is watched before its first guard is ready. While no guard lives after that (it died, or
hung and was ended) the guardian answers by itself, so that nobody waits for ever; one that is to be replaced answers
until its successor is ready. If the guardian dies the guard dies with it, and the kernel asks nobody any more.

    python -I -m quell_agent.execution.guardian FOLDER ROOT

`FOLDER` holds the policy and the socket; file systems at or below `ROOT` are watched. It returns, and leaves the
guardian behind, once that is so; with 1 if it never came to that.
"""

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import stat
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from quell_agent.execution import fanotify, mounts, openers, saved
from quell_agent.execution.board import Board
from quell_agent.execution.fanotify import Event
from quell_agent.execution.guards import TICK, Guards
from quell_agent.execution.policy import CLOSED, LIBRARIES, is_below, is_roots_alone
from quell_agent.execution.trust import login_paths, path_of

SOCKET = "guardian.sock"
STATUS, RESTRICT, RELEASE = b"status", b"restrict", b"release"
BETWEEN_LOOKS = 1.0
CONNECTIONS = 8
ANSWER_BYTES = 4096
LOCK_WITHIN = 10


@dataclass
class Guardian:
    """What it holds. `wanted` is the digest of the policy that the newest guard was begun for."""

    root: str
    listener: socket.socket
    login: frozenset[str]
    wanted: str
    guards: Guards
    clients: dict[int, socket.socket] = field(default_factory=dict)
    not_watched: int = 0
    looked: float | None = None

    def run(self, in_force: Callable[[], None]) -> NoReturn:
        """Hold the group until somebody lets go of it; say so once it is asked about everything."""
        with Path("/proc/self/mountinfo").open("rb") as changes:
            self.guards.begin()
            while True:
                poll = select.poll()
                poll.register(changes, select.POLLPRI)
                for descriptor in self._listened():
                    poll.register(descriptor, select.POLLIN)
                ready = {descriptor for descriptor, _ in poll.poll(TICK)}
                self.guards.look_after(ready)
                if self.looked is None and self.guards.present:
                    self.watch()
                    in_force()
                elif self.looked and (changes.fileno() in ready or time.monotonic() > self.looked + BETWEEN_LOOKS):
                    self.watch()
                if not self.guards.present:
                    self._answer()
                self._serve(ready)

    def _listened(self) -> list[int]:
        # With a guard the questions are its own.
        group = [] if self.guards.present else [self.guards.group]
        listener = [self.listener.fileno()] if len(self.clients) < CONNECTIONS else []
        return [*listener, *self.clients, *self.guards.links(), *group]

    def watch(self) -> None:
        """Watch every local file system, also what is watched: another may have its number by now."""
        self.not_watched = 0
        for path in mounts.mounted(self.root).values():
            try:
                fanotify.watch(self.guards.group, path)
            except OSError:
                self.not_watched += 1
        self.looked = time.monotonic()

    def _answer(self) -> None:
        while event := fanotify.next_event(self.guards.group):
            fanotify.answer(self.guards.group, event, allowed=self._may(event))

    def _may(self, event: Event) -> bool:
        """Decide without a guard: all, or what loads no program, what our own do, and how root comes in."""
        successor = self.guards.successor
        if self.guards.dead != CLOSED or (successor and event.pid == successor.pid):
            return True
        try:
            status = os.fstat(event.descriptor)
            if not stat.S_ISREG(status.st_mode):
                return True
            if not event.starts and os.pread(event.descriptor, 4, 0) != b"\x7fELF":
                return True
            path = path_of(event.descriptor, status) or ""
        except OSError:
            return False
        if openers.is_of(event.pid, self.guards.board.ours):
            return True
        loads = not event.starts and is_below(path, LIBRARIES)
        return (loads or path in self.login) and is_roots_alone(path)

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
                self.guards.begin()
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
        self.guards.board.ours = frozenset(int.from_bytes(each[:4], sys.byteorder) for each in credentials)

    def _status(self) -> bytes:
        present = self.guards.present
        status = {
            "policy": present.policy if present else "",
            "guard": present.pid if present else 0,
            "starts": self.guards.starts,
            "refused": self.guards.board.refused,
            "not_watched": self.not_watched,
        }
        return json.dumps(status).encode()

    def _let_go(self) -> NoReturn:
        """Watch nothing any more, then hang up: who asked for it knows by that."""
        self.guards.end()
        os.close(self.guards.group)
        os._exit(0)


def main() -> None:
    """Detach from whoever started it, and hold on."""
    folder, root = Path(sys.argv[1]), sys.argv[2]
    # Held for life: who has it is the one guardian of this folder.
    holder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    signal.alarm(LOCK_WITHIN)
    fcntl.flock(holder, fcntl.LOCK_EX)
    signal.alarm(0)
    policy = saved.read(folder)
    login = frozenset(login_paths(policy.login))
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        os._exit(0 if os.read(reader, 1) else 1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nothing, descriptor)
    try:
        _be_spared()
        guards = Guards(fanotify.group(), folder, Board(), policy.dead)
        guardian = Guardian(root, _listener(holder), login, policy.digest, guards)
        guardian.run(lambda: _tell(writer))
    finally:
        # No traceback: it reads files, which nobody may be there to answer for.
        os._exit(1)


def _tell(writer: int) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(writer, b"1")
    os.close(writer)


def _listener(holder: int) -> socket.socket:
    """Listen in a folder, reached by its descriptor: a socket's path may only have 107 bytes."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    name = f"/proc/self/fd/{holder}/{SOCKET}"
    Path(name).unlink(missing_ok=True)
    listener.bind(name)
    # Whoever connects is told who called this: the guardian, not the process that has detached it.
    listener.listen(CONNECTIONS)
    return listener


def _be_spared() -> None:
    """Be the last to be ended for want of memory."""
    try:
        Path("/proc/self/oom_score_adj").write_text("-1000", encoding="utf-8")
    except OSError:
        return


if __name__ == "__main__":
    main()
