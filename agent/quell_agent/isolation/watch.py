"""Hearing from the kernel that somebody has changed our tables, or that a device came, went or got another name."""

import asyncio
import contextlib
import socket
from types import TracebackType
from typing import Self

from quell_agent.isolation.ruleset import NAME

NETLINK_ROUTE, NETLINK_NETFILTER = 0, 12
LINKS, TABLES = 1 << 0, 1 << 6
BUFFER = 1 << 20


class Watch:
    """Open from here on: whatever happens is heard, also before the first wait."""

    def __init__(self) -> None:
        """Listen in this thread's network namespace."""
        self._links = _listening(NETLINK_ROUTE, LINKS)
        self._tables = _listening(NETLINK_NETFILTER, TABLES)
        self._moved = asyncio.Event()

    def __enter__(self) -> Self:
        """Begin to hear."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._links, self._hear, self._links, b"")
        loop.add_reader(self._tables, self._hear, self._tables, NAME.encode())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Hear no more."""
        for each in (self._links, self._tables):
            asyncio.get_running_loop().remove_reader(each)
            each.close()

    async def wait(self, within: float) -> None:
        """Wait until something was heard since the last wait, or for so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._moved.wait()
        self._moved.clear()

    def _hear(self, source: socket.socket, word: bytes) -> None:
        while True:
            try:
                got = source.recv(BUFFER)
            except BlockingIOError:
                return
            except OSError:
                # More than the buffer holds: it may have been of ours.
                self._moved.set()
                return
            if word in got:
                self._moved.set()


def _listening(protocol: int, groups: int) -> socket.socket:
    source = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)
    source.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    source.bind((0, groups))
    return source
