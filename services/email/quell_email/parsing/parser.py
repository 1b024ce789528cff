"""The parent's side of the child that reads mail: it is started when needed and again when a message has killed it."""

import json
import os
import select
import struct
import subprocess
import sys
import threading
import time
from typing import Any

from quell_email.domain.attachments import Wanted
from quell_email.domain.cutting import Cutting
from quell_email.domain.facts import Headers
from quell_email.domain.mime import UnparsableError, header_block
from quell_email.parsing import cuts

WALL_SECONDS = 4.0
MOST_BYTES = 64 << 20
"""Of a message that is read at all: the child would need several times as much."""
MAX_ANSWER = 1 << 20
MAX_LINKS_ANSWER = 64 << 20
"""It has the text around the links, too."""


class Parser:
    """One child at a time. Its methods block: call them in a worker thread. Threads take turns."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._turn = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def headers(self, start: bytes) -> Headers | None:
        """Return what the headers at the start of a message say, or None if they can't be read."""
        try:
            found = self._ask(b"h", header_block(start))
        except UnparsableError:
            return None
        if found is None:
            return None
        return Headers(
            found["message_id"], found["subject"], tuple(found["senders"]), found["sender_ip"], found["content_type"]
        )

    def marks(self, raw: bytes) -> frozenset[bytes] | None:
        """Return the marks of a message's URLs and parts, or None if it can't be read."""
        found = self._ask(b"b", raw)
        return None if found is None else frozenset(bytes.fromhex(mark) for mark in found["marks"])

    def links(self, raw: bytes) -> dict[str, Any] | None:
        """Return what `links.parts.read_links` says of a message, or None if it can't be read."""
        return self._ask(b"l", raw, MAX_LINKS_ANSWER)

    def view(self, raw: bytes) -> dict[str, Any] | None:
        """Return what `viewing.read_view` says of a message, or None if it can't be read."""
        return self._ask(b"v", raw)

    def cutting(self, raw: bytes, wanted: Wanted) -> Cutting | None:
        """Return how to take an attachment out of a message, or None if it can't be read.

        Raises:
            CutError: It can't be done exactly.

        """
        found = self._ask(b"c", cuts.asked(raw, wanted))
        return None if found is None else cuts.told(found)

    def close(self) -> None:
        """End the child."""
        with self._turn:
            self._end()

    def _ask(self, mode: bytes, raw: bytes, most: int = MAX_ANSWER) -> dict[str, Any] | None:
        if len(raw) > MOST_BYTES:
            return None
        with self._turn:
            child = self._started()
            try:
                _write(child, struct.pack(">I", len(raw)) + mode + raw)
                until = time.monotonic() + WALL_SECONDS
                (length,) = struct.unpack(">I", _read(child, 4, until))
                if length > most:
                    raise EOFError  # noqa: TRY301 - no honest answer is as long
                found: dict[str, Any] = json.loads(_read(child, length, until))
            except (OSError, EOFError, ValueError):
                self._end()
                return None
        return None if "unparsable" in found else found

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self._end()
            self._child = subprocess.Popen(
                [sys.executable, "-m", "quell_email.parsing.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={"PATH": os.defpath},
                bufsize=0,
            )
        return self._child

    def _end(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None


def _write(child: subprocess.Popen[bytes], data: bytes) -> None:
    assert child.stdin is not None  # noqa: S101 - we asked for a pipe
    view = memoryview(data)
    while view:
        view = view[child.stdin.write(view) :]


def _read(child: subprocess.Popen[bytes], length: int, until: float) -> bytes:
    """Read exactly so many bytes.

    Raises:
        EOFError: The child has died, or takes too long.

    """
    assert child.stdout is not None  # noqa: S101 - we asked for a pipe
    found = bytearray()
    while len(found) < length:
        ready, _, _ = select.select([child.stdout], [], [], max(0.0, until - time.monotonic()))
        piece = child.stdout.read(length - len(found)) if ready else b""
        if not piece:
            raise EOFError
        found += piece
    return bytes(found)
