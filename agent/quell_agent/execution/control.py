"""The agent's side of the guardian: start it, ask it, have it let go."""

import asyncio
import fcntl
import json
import os
import signal
import socket
from dataclasses import dataclass, field
from pathlib import Path

from quell_agent import commands
from quell_agent.execution import fanotify, mounts, saved
from quell_agent.execution.guardian import ANSWER_BYTES, RELEASE, RESTRICT, SOCKET, STATUS
from quell_agent.execution.policy import Policy
from quell_runtime.seams import Point, nowhere

ANSWERS_WITHIN = 10.0
IN_FORCE_WITHIN = 60.0
PAUSE = 0.02


@dataclass(frozen=True, slots=True)
class Status:
    """How the guardian is: the digest of the policy in force (empty: no guard is ready), and who decides by it.

    `not_watched`: how many local file systems the kernel does not let it watch.
    """

    policy: str
    guardian: int
    guard: int
    not_watched: int
    refused: int = field(compare=False)


class Control:
    """The guardian of one folder. While a connection is held, what this process opens is not refused."""

    def __init__(self, folder: Path, root: str, point: Point = nowhere) -> None:
        """Take the folder that policy and socket lie in, and below which place file systems are watched."""
        self._folder = folder
        self._root = root
        self._point = point
        self._connection: socket.socket | None = None
        self._turn = asyncio.Lock()

    def __del__(self) -> None:
        """Hang up."""
        self.close()

    async def status(self) -> Status | None:
        """Ask how the guardian is; None: there is none, or none that answers."""
        return await self._ask(STATUS)

    async def restrict(self, policy: Policy) -> None:
        """Put a policy in force, for the next boot too, in place of another if there is one.

        Raises:
            TimeoutError: It is not in force within a minute.

        """
        saved.write(self._folder, policy)
        self._point("execution.saved")
        async with asyncio.timeout(IN_FORCE_WITHIN):
            while True:
                status = await self._ask(RESTRICT + f" {policy.digest}".encode())
                if status is None:
                    await self._start()
                elif status.policy == policy.digest:
                    return
                await asyncio.sleep(PAUSE)

    async def release(self) -> None:
        """Have everything started again by anybody, after the next boot too; return when nothing is asked any more.

        Raises:
            TimeoutError: The guardian did not go within a minute.

        """
        # First: who is stopped half-way does not come back with the next boot.
        saved.forget(self._folder)
        self._point("execution.unsaved")
        async with asyncio.timeout(IN_FORCE_WITHIN):
            while not self.is_gone():
                await self._ask(RELEASE)
                await asyncio.sleep(PAUSE)

    def is_gone(self) -> bool:
        """Tell whether there is no guardian, not even one that starts or ends."""
        try:
            holder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(holder)
        return True

    def not_watched(self, status: Status) -> frozenset[str]:
        """Return the local file systems that the kernel does not ask the guardian about."""
        try:
            return frozenset(mounts.mounted(self._root)) - fanotify.watched(status.guardian)
        except FileNotFoundError:
            return frozenset(mounts.mounted(self._root))

    async def is_saved(self, policy: Policy | None) -> bool:
        """Tell whether the next boot begins with this policy; None: with none."""
        try:
            # In a thread: a guard that hangs may be asked about the file.
            return await asyncio.to_thread(saved.read, self._folder) == policy
        except FileNotFoundError:
            return policy is None
        except saved.BrokenError:
            return False

    async def _start(self) -> None:
        process = await commands.spawn("quell_agent.execution.guardian", self._folder, self._root)
        # What it started with ends as soon as it has detached itself.
        await process.wait()

    async def _ask(self, word: bytes) -> Status | None:
        async with self._turn:
            kept = self._connection is not None
            status = await self._ask_once(word)
            # A connection that was kept may be one to a guardian that is no more.
            return await self._ask_once(word) if status is None and kept else status

    async def _ask_once(self, word: bytes) -> Status | None:
        loop = asyncio.get_running_loop()
        try:
            connection = self._connection or self._connected()
            async with asyncio.timeout(ANSWERS_WITHIN):
                await loop.sock_sendall(connection, word)
                said = await loop.sock_recv(connection, ANSWER_BYTES)
        except TimeoutError:
            # It hangs: without it the kernel asks nobody, and whoever needs it starts another.
            os.kill(_guardian(connection), signal.SIGKILL)
            said = b""
        except OSError:
            said = b""
        if not said:
            self.close()
            return None
        read = json.loads(said)
        return Status(read["policy"], _guardian(connection), read["guard"], read["not_watched"], read["refused"])

    def _connected(self) -> socket.socket:
        holder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            connection.connect(f"/proc/self/fd/{holder}/{SOCKET}")
        except OSError:
            connection.close()
            raise
        finally:
            os.close(holder)
        self._connection = connection
        return connection

    def close(self) -> None:
        """Hang up. Nothing is lifted by that."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _guardian(connection: socket.socket) -> int:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[:4], "little")
