"""Keeping AF_XDP sockets off our devices: what they send passes every hook of the packet filter by.

The kernel gives each queue of a device to one such socket. So we take them all, in copy mode, which leaves the device
and its traffic as they are, and send nothing. The kernel takes them back from us when we end, or the device does.
"""

import contextlib
import ctypes
import errno
import itertools
import mmap
import socket
import struct

import structlog

from quell_agent.files import LIBC
from quell_agent.isolation.tables import devices

AF_XDP, SOL_XDP, COPY = 44, 283, 1 << 1
TX_RING, MEMORY, FILL_RING, COMPLETION_RING = 3, 4, 5, 6
CHUNK, ENTRIES = 2048, struct.pack("I", 1)
MOST_QUEUES = 1024
log = structlog.get_logger()


class Express:
    """The queues that we hold."""

    def __init__(self) -> None:
        """Hold none yet."""
        self._held: dict[int, list[socket.socket]] = {}
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)

    def hold(self) -> None:
        """Take every queue of the devices of this thread's namespace, but those that somebody has already."""
        here = devices()
        for gone in self._held.keys() - here.keys():
            self._drop(gone)
        for index in here.keys() - self._held.keys():
            self._held[index] = []
            # A kernel that has no such sockets has nobody to keep off.
            with contextlib.suppress(OSError):
                self._take(index)

    def let_go(self) -> None:
        """Give all back."""
        for index in list(self._held):
            self._drop(index)

    def _take(self, index: int) -> None:
        for queue in itertools.islice(itertools.count(), MOST_QUEUES):
            made = self._made()
            address = struct.pack("HHIII", AF_XDP, COPY, index, queue, 0)
            if LIBC.bind(made.fileno(), address, len(address)) == 0:
                self._held[index].append(made)
                continue
            made.close()
            if ctypes.get_errno() != errno.EBUSY:
                return
            log.warning("queue_is_taken", device=index, queue=queue)

    def _made(self) -> socket.socket:
        made = socket.socket(AF_XDP, socket.SOCK_RAW, 0)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        made.setsockopt(SOL_XDP, MEMORY, struct.pack("QQIIII", start, mmap.PAGESIZE, CHUNK, 0, 0, 0))
        for ring in (FILL_RING, COMPLETION_RING, TX_RING):
            made.setsockopt(SOL_XDP, ring, ENTRIES)
        return made

    def _drop(self, index: int) -> None:
        for each in self._held.pop(index):
            each.close()
