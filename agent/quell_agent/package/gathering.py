"""A source reads in a process of its own, which tells item by item, and can be ended whatever it hangs in.

A reader can be made to wait for ever (memory that a file system of the attacker's serves, a mount that does not
answer), or to die: what it has told until then counts, and the next source goes on.
"""

import contextlib
import json
import os
import select
import signal
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from quell_agent import commands, files
from quell_agent.package.item import Item, Status, because
from quell_agent.package.machine import Machine

HEAD = struct.Struct("<cI")
ITEM, DATA, END, BROKEN, ALL = b"I", b"D", b"E", b"B", b"A"
PIECE = 1 << 18
POLITELY = 2.0
"""Seconds in which a source that is called off ends what it has started."""
Frame = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Source:
    """One part of a package: how it is called in the manifest, what it brings, how many seconds it may take."""

    name: str
    items: Callable[[Machine], Iterator[Item]]
    seconds: float = 60


class Telling:
    """What a running source tells, frame by frame: for each item ITEM, any DATA, END.

    When it has ended, `failure` is the reason and the message if that was not its own end.
    """

    def __init__(self, pipe: int, seconds: float) -> None:
        """Read what comes within so many seconds."""
        self._pipe = pipe
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._buffer = bytearray()
        self.failure: tuple[str, str] | None = ("SOURCE_DIED", "its process ended early")

    def __iter__(self) -> Iterator[Frame]:
        """Go on where it was left off."""
        while self._holds(HEAD.size):
            kind, size = HEAD.unpack_from(self._buffer)
            if not self._holds(HEAD.size + size):
                return
            payload = bytes(self._buffer[HEAD.size : HEAD.size + size])
            del self._buffer[: HEAD.size + size]
            if kind == ALL:
                self.failure = None
            elif kind == BROKEN:
                self.failure = ("SOURCE_BROKE", payload.decode())
            else:
                yield kind, payload

    def _holds(self, size: int) -> bool:
        """Wait until so many bytes are there; False if they do not come."""
        while len(self._buffer) < size:
            left = self._deadline - time.monotonic()
            if left <= 0 or not select.select([self._pipe], [], [], left)[0]:
                self.failure = ("OUT_OF_TIME", f"it did not end within {self._seconds:.0f} s")
                return False
            piece = os.read(self._pipe, PIECE)
            if not piece:
                return False
            self._buffer += piece
        return True


@contextlib.contextmanager
def gathered(source: Source, machine: Machine, seconds: float) -> Iterator[Telling]:
    """Run a source for so many seconds at most. Afterwards no process of it is left."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    child = commands.forked(lambda: _tell_all(source, machine, writing))
    os.close(writing)
    try:
        yield Telling(reading, seconds)
    finally:
        os.close(reading)
        _end(child)


def _end(child: int) -> None:
    """End a child: politely first, so that it ends what it has started itself."""
    watched = os.pidfd_open(child)
    try:
        for sends in (signal.SIGINT, signal.SIGKILL):
            if not select.select([watched], [], [], 0)[0]:
                signal.pidfd_send_signal(watched, sends)
                select.select([watched], [], [], POLITELY)
    finally:
        os.close(watched)
        os.waitpid(child, 0)


def _tell_all(source: Source, machine: Machine, pipe: int) -> None:
    """Tell everything that a source brings; whatever ends it is told in its place."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for item in source.items(machine):
            _tell_item(pipe, item)
        _tell(pipe, ALL)
    except (KeyboardInterrupt, BrokenPipeError):
        return
    except Exception as error:  # noqa: BLE001 - the manifest says so, and the next source goes on
        _tell(pipe, BROKEN, f"{type(error).__name__}: {error}".encode("utf-8", "backslashreplace")[:500])


def _tell_item(pipe: int, item: Item) -> None:
    _tell(pipe, ITEM, json.dumps({"told": item.told(), "most_bytes": item.most_bytes}).encode())
    after: dict[str, str] = {}
    content = iter(item.content)
    while True:
        try:
            piece = next(content, None)
        except OSError as error:
            state, reason, message = because(error)
            after = {"status": state, "reason": reason, "message": message}
            break
        except files.NotAFileError:
            after = {"status": Status.LEFT_OUT, "reason": "NOT_A_FILE"}
            break
        if piece is None:
            break
        for begin in range(0, len(piece), PIECE):
            _tell(pipe, DATA, piece[begin : begin + PIECE])
    _tell(pipe, END, json.dumps(after).encode())


def _tell(pipe: int, kind: bytes, payload: bytes = b"") -> None:
    left = memoryview(HEAD.pack(kind, len(payload)) + payload)
    while left:
        left = left[os.write(pipe, left) :]
