"""The header that our filter leaves: what became of a message's links, sealed over its body.

So its absence tells that a message did not come by the filter, and a copy of another's fits no other body.
"""

import base64
import hashlib
import hmac
from enum import StrEnum, auto

from quell_email.domain import mime
from quell_email.domain.headers import parse_all

HEADER = "X-Quell-Links"
_SIGNED = b"quell-mark-1\0"


class State(StrEnum):
    """What became of a message."""

    DONE = auto()
    """Its links, if it has some, are ours now, but for those of parts that are left alone."""
    UNREADABLE = auto()
    """Nobody can say what is in it: it passed unchanged."""
    TOO_LARGE = auto()
    """It passed unchanged."""
    FAILED = auto()
    """The filter failed: it passed unchanged."""


def made(key: bytes, said: str, body: bytes) -> str:
    """Return the header's value: what is said, and its seal."""
    return f"{said}; seal={_seal(key, said, body)}"


def read(key: bytes, raw: bytes) -> str | None:
    """Return what the mark on a message says, or None if it has none that was made for this body."""
    block = mime.header_block(raw)
    body = raw[len(block) :].lstrip(b"\r\n")
    for value in parse_all(block, HEADER.lower()):
        said, _, seal = value.rpartition("; seal=")
        if hmac.compare_digest(seal.strip().encode(), _seal(key, said, body).encode()):
            return said
    return None


def _seal(key: bytes, said: str, body: bytes) -> str:
    # Servers write line ends as their disks have them, and differ about empty lines around a body.
    plain = body.replace(b"\r\n", b"\n").strip(b"\n")
    digest = hmac.digest(key, _SIGNED + said.encode() + b"\0" + hashlib.sha256(plain).digest(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:24]).decode()
