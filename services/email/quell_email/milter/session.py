"""One connection of a mail server: its commands become messages, and what is to be changed goes back."""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from quell_email.milter import packets
from quell_email.milter.packets import ACCEPT, CONTINUE, SILENT, UNANSWERED, Can, Offer, Skip

MAX_MESSAGE = 32 << 20
"""Octets of a message that is looked into."""
WANTED = Can.ADD_HEADERS | Can.CHANGE_BODY | Can.CHANGE_HEADERS
_SKIPPED = (
    *(Skip.CONNECT, Skip.HELO, Skip.END_OF_HEADERS, Skip.UNKNOWN, Skip.DATA),
    *UNANSWERED.values(),
)
IDLE_S = 3600.0
"""A server keeps its connection as long as its own client stays."""


class RefusedOfferError(Exception):
    """The server does not let us do what we are for."""


@dataclass(slots=True)
class Message:
    """A message as it comes in. `recipients` as the sender gave them, without angle brackets."""

    recipients: list[str] = field(default_factory=list)
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    size: int = 0

    @property
    def too_large(self) -> bool:
        """Whether some of it was left out, since it is larger than what is looked into."""
        return self.size > MAX_MESSAGE

    @property
    def head(self) -> bytes:
        """Return the header block and the empty line after it, with line ends as on the wire."""
        lines = [name + b": " + value.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for name, value in self.headers]
        return b"\r\n".join([*lines, b"", b""]) if lines else b"\r\n"

    def take(self, size: int) -> bool:
        """Count so much more; tell whether it is to be kept."""
        self.size += size
        return not self.too_large


Filter = Callable[[Message], Awaitable[bytes]]
"""Returns the orders for a message, as packets; must not raise."""


class Session:
    """Talks with one server until it goes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, filtered: Filter) -> None:
        """Read and write there; ask `filtered` for each message."""
        self._reader = reader
        self._writer = writer
        self._filter = filtered
        self._message = Message()
        self._offer = Offer(0, 0, 0)

    async def run(self) -> None:
        """Answer until the server says that it goes, or is gone.

        Raises:
            RefusedOfferError: It does not let us do what we are for.
            ValueError: It does not speak the protocol.

        """
        async for letter, data in self._packets():
            if letter == b"Q":
                return
            answer = await self._answer(letter, data)
            if answer:
                self._writer.write(answer)
                await self._writer.drain()

    async def _packets(self) -> AsyncIterator[tuple[bytes, bytes]]:
        while True:
            try:
                async with asyncio.timeout(IDLE_S):
                    (length,) = struct.unpack(">I", await self._reader.readexactly(4))
                    if not 0 < length <= packets.MAX_PACKET:
                        raise ValueError("a packet of that length")
                    whole = await self._reader.readexactly(length)
            except (asyncio.IncompleteReadError, TimeoutError, OSError):
                return
            yield whole[:1], whole[1:]

    async def _answer(self, letter: bytes, data: bytes) -> bytes:
        """Return what goes back; nothing for most."""
        if letter == b"O":
            return self._agreed(packets.offer(data))
        if letter == b"E":
            if self._message.take(len(data)):
                self._message.body += data
            message, self._message = self._message, Message()
            return await self._filter(message) + packets.packet(ACCEPT)
        self._take(letter, data)
        unanswered = UNANSWERED.get(letter)
        if letter in SILENT or (unanswered is not None and self._offer.skip & unanswered):
            return b""
        return packets.packet(CONTINUE)

    def _agreed(self, offered: Offer) -> bytes:
        if offered.version < packets.VERSION or offered.can & WANTED != WANTED:
            raise RefusedOfferError("the server does not let headers and bodies be changed")
        can = (WANTED | Can.QUARANTINE) & offered.can
        self._offer = Offer(packets.VERSION, can, sum(_SKIPPED) & offered.skip)
        return packets.packet(b"O", bytes(self._offer))

    def _take(self, letter: bytes, data: bytes) -> None:
        match letter:
            case b"M" | b"A" | b"K":
                self._message = Message()
            case b"R":
                self._message.recipients.append(_address(packets.texts(data)[0]))
            case b"L" if self._message.take(len(data)):
                name, value = packets.texts(data)[:2]
                self._message.headers.append((name, value))
            case b"B" if self._message.take(len(data)):
                self._message.body += data


def _address(text: bytes) -> str:
    return text.decode("utf-8", "replace").removeprefix("<").removesuffix(">")
