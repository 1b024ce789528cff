"""Packets of the milter protocol, version 6, as Sendmail's libmilter and Postfix speak it: what they mean in bytes.

A packet is its length (4 bytes, big end first), a letter, and data; texts in it end with NUL.
"""

import struct
from dataclasses import dataclass
from enum import IntFlag

VERSION = 6
MAX_PACKET = 1 << 20
"""Of a header; pieces of a body have 64 KiB at most."""
PIECE = 65_535
"""The most of a new body that goes into one packet."""


class Can(IntFlag):
    """What a filter may do to a message (SMFIF)."""

    ADD_HEADERS = 0x01
    CHANGE_BODY = 0x02
    CHANGE_HEADERS = 0x10
    QUARANTINE = 0x20


class Skip(IntFlag):
    """What the server need not tell, and where it need not wait for an answer (SMFIP)."""

    CONNECT = 0x01
    HELO = 0x02
    END_OF_HEADERS = 0x40
    UNKNOWN = 0x100
    DATA = 0x200
    ANSWER_TO_HEADER = 0x80
    ANSWER_TO_MAIL = 0x4000
    ANSWER_TO_RCPT = 0x8000
    ANSWER_TO_BODY = 0x80000


UNANSWERED = {
    b"M": Skip.ANSWER_TO_MAIL,
    b"R": Skip.ANSWER_TO_RCPT,
    b"L": Skip.ANSWER_TO_HEADER,
    b"B": Skip.ANSWER_TO_BODY,
}
"""Commands that need no answer once the server has agreed to it; the rest is asked once, or never (`SILENT`)."""
SILENT = frozenset({b"D", b"A", b"Q", b"K"})
"""Macros, the end of a message, of a connection, and of one of several on it: never answered."""
CONTINUE = b"c"
ACCEPT = b"a"


@dataclass(frozen=True, slots=True)
class Offer:
    """What the server offers, or what we take of it."""

    version: int
    can: int
    skip: int

    def __bytes__(self) -> bytes:
        """Return it as data of a packet `O`."""
        return struct.pack(">III", self.version, self.can, self.skip)


def offer(data: bytes) -> Offer:
    """Read an offer.

    Raises:
        ValueError: It is none.

    """
    if len(data) < 12:  # noqa: PLR2004 - three numbers of 4 bytes
        raise ValueError("an offer that short")
    return Offer(*struct.unpack(">III", data[:12]))


def packet(letter: bytes, data: bytes = b"") -> bytes:
    """Return a packet."""
    return struct.pack(">I", len(data) + 1) + letter + data


def texts(data: bytes) -> list[bytes]:
    """Return the texts of a packet."""
    return data.split(b"\0")[:-1]


def header(name: str, value: str, *, index: int | None = None) -> bytes:
    """Return the order to add a header at the end, or to change the one of that name and number (1 is the first).

    An empty value takes it out.
    """
    pair = f"{name}\0{value}\0".encode("ascii")
    return packet(b"h", pair) if index is None else packet(b"m", struct.pack(">I", index) + pair)


def body(content: bytes) -> bytes:
    """Return the order to put this in the place of the body."""
    pieces = range(0, len(content), PIECE) or [0]
    return b"".join(packet(b"b", content[at : at + PIECE]) for at in pieces)


def quarantine(reason: str) -> bytes:
    """Return the order to hold the message for people to look at."""
    return packet(b"q", reason.encode("ascii", "replace") + b"\0")
