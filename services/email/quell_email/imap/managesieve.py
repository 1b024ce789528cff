"""A ManageSieve client (RFC 5804): one connection, logged in as a mailbox's master user."""

import asyncio
import re
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Literal

from quell_email.imap.settings import MailServer

MOST_BYTES = 4 << 20
"""Bytes of one string, and of one line, of an answer."""
_STRING = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_LITERAL = re.compile(rb"\{(\d{1,10})\+?\}\r\n\Z")
_WORD = re.compile(rb"\([^)]*\)|[^\s()\"{]+")
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
Line = list[bytes]


class SieveServer(MailServer):
    """Where scripts are."""

    tls: Literal["implicit", "starttls", "none"] = "starttls"
    """ManageSieve has no port of its own for TLS: most servers want STARTTLS."""


class ManageSieveError(Exception):
    """The server said no. `code` is its reason: `NONEXISTENT`, `QUOTA`, `TRYLATER`; empty if it gave none."""

    def __init__(self, code: str) -> None:
        """Take the code."""
        super().__init__(code)
        self.code = code


class LoginError(ManageSieveError):
    """The server does not let us in for this mailbox."""


class Session:
    """What a mailbox's user can do with scripts."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak over a connection."""
        self._reader = reader
        self._writer = writer

    async def scripts(self) -> list[tuple[str, bool]]:
        """Return the names of all scripts, and which is active."""
        lines = await self.ask(b"LISTSCRIPTS")
        return [(_first([line]).decode("utf-8", "surrogateescape"), b"ACTIVE" in line[1:]) for line in lines]

    async def get(self, name: str) -> bytes:
        """Return a script's content."""
        lines = await self.ask(b"GETSCRIPT", name.encode("utf-8", "surrogateescape"))
        return _first(lines)

    async def put(self, name: str, content: bytes) -> None:
        """Write a script."""
        await self.ask(b"PUTSCRIPT", name.encode("utf-8", "surrogateescape"), content)

    async def login(self, name: str, password: str) -> None:
        """Log in."""
        plain = b64encode(b"\0" + name.encode() + b"\0" + password.encode())
        try:
            await self.ask(b"AUTHENTICATE", b"PLAIN", plain)
        except ManageSieveError as error:
            raise LoginError(error.code) from None

    async def ask(self, command: bytes, *strings: bytes) -> list[Line]:
        """Send a command; return the lines of the answer before its end.

        Raises:
            ManageSieveError: The server says no.

        """
        literals = b"".join(b" {%d+}\r\n%b" % (len(string), string) for string in strings)
        self._writer.write(command + literals + b"\r\n")
        await self._writer.drain()
        return await self.answer()

    async def answer(self) -> list[Line]:
        """Read up to OK."""
        lines: list[Line] = []
        while True:
            line, word = await self._line()
            if word == b"OK":
                return lines
            if word in (b"NO", b"BYE"):
                raise ManageSieveError(_code(line))
            lines.append(line)

    async def _line(self) -> tuple[Line, bytes]:
        """Return the parts of a line, and its first word, if it begins with one rather than with a string."""
        parts: Line = []
        text = await self._reader.readuntil(b"\r\n")
        word = found[0].upper() if (found := _WORD.match(text)) else b""
        while True:
            literal = _LITERAL.search(text)
            parts += _parts(text[: literal.start()] if literal else text)
            if not literal:
                return parts, word
            if int(literal[1]) > MOST_BYTES:
                raise ManageSieveError("TOO_LARGE")
            parts.append(await self._reader.readexactly(int(literal[1])))
            text = await self._reader.readuntil(b"\r\n")


@asynccontextmanager
async def session(server: SieveServer, mailbox: str) -> AsyncIterator[Session]:
    """Connect and log in for a mailbox; hang up afterwards.

    Raises:
        ManageSieveError: The server does not let us in.
        OSError: It does not answer.

    """
    secure = ssl.create_default_context(cafile=str(server.ca) if server.ca else None)
    host, port = server.address.host, server.address.port
    # Kept to the end: where a stream is thrown away, asyncio drops its connection, under TLS too.
    plain = await asyncio.open_connection(
        host, port, limit=MOST_BYTES, ssl=secure if server.tls == "implicit" else None
    )
    reader, writer = plain
    try:
        found = Session(reader, writer)
        await found.answer()
        if server.tls == "starttls":
            await found.ask(b"STARTTLS")
            reader, writer = await _secured(writer, secure, host)
            found = Session(reader, writer)
            await found.answer()
        await found.login(server.login(mailbox), server.password())
        yield found
    finally:
        for stream in (writer, plain[1]):
            stream.transport.abort()


async def _secured(
    writer: asyncio.StreamWriter, secure: ssl.SSLContext, host: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Go on by TLS with a new reader: what somebody has put before the handshake is not read as if it came after."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(MOST_BYTES)
    protocol = asyncio.StreamReaderProtocol(reader)
    transport = await loop.start_tls(writer.transport, protocol, secure, server_hostname=host)
    if transport is None:
        raise ConnectionResetError("the server hung up before TLS")
    protocol.connection_made(transport)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def _first(lines: list[Line]) -> bytes:
    if not lines or not lines[0]:
        raise ConnectionAbortedError("the server does not speak ManageSieve")
    return lines[0][0]


def _parts(text: bytes) -> Iterator[bytes]:
    """Yield the strings and words of a piece of a line."""
    place = 0
    while place < len(text):
        if found := _STRING.match(text, place):
            yield _ESCAPE.sub(rb"\1", found[1])
        elif found := _WORD.match(text, place):
            yield found[0]
        place = found.end() if found else place + 1


def _code(line: Line) -> str:
    """Return the code of `NO (CODE "more") "text"`."""
    found = re.match(rb"\(([A-Z0-9/-]+)", line[1].upper()) if len(line) > 1 else None
    return found[1].decode() if found else ""
