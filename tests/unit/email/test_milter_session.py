"""The milter protocol as older servers, broken ones and strangers speak it."""

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from quell_email.milter import mark, packets
from quell_email.milter.packets import packet
from quell_email.milter.serving import serving
from quell_email.milter.session import MAX_MESSAGE, Message
from quell_runtime.addresses import Address
from quell_runtime.errors import PortTakenError

EVERYTHING = packet(b"O", struct.pack(">III", 6, 0x1FF, 0x1FFFFF))
NOTHING_SKIPPED = packet(b"O", struct.pack(">III", 6, 0x1FF, 0))
LOCAL = Address("127.0.0.1", 0)


class Heard:
    """A filter that keeps what comes, and adds a header."""

    def __init__(self) -> None:
        """Hear nothing yet."""
        self.messages: list[Message] = []

    async def __call__(self, message: Message) -> bytes:
        """Keep it."""
        self.messages.append(message)
        return packets.header("X", "y")


class Server:
    """A mail server on the other side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak there."""
        self.reader = reader
        self.writer = writer

    def say(self, *said: bytes) -> None:
        """Send packets."""
        self.writer.write(b"".join(said))

    async def hear(self, count: int) -> Sequence[bytes]:
        """Return so many packets, each its letter and data."""
        async with asyncio.timeout(10):
            return [
                await self.reader.readexactly(*struct.unpack(">I", await self.reader.readexactly(4)))
                for _ in range(count)
            ]

    async def gone(self) -> bool:
        """Wait until the other side has hung up."""
        async with asyncio.timeout(10):
            return await self.reader.read() == b""


@asynccontextmanager
async def talk(heard: Heard, connections: int = 100) -> AsyncIterator[Server]:
    """Have a connection."""
    async with serving(heard, LOCAL, connections=connections) as port, dialled(port) as server:
        yield server


@asynccontextmanager
async def dialled(port: int) -> AsyncIterator[Server]:
    """Have one more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    yield Server(reader, writer)
    writer.close()


MAIL = (
    packet(b"D", b"Mi\0queue\0"),
    packet(b"M", b"<a@outside.test>\0SIZE=3\0"),
    packet(b"R", b"<ann@corp.test>\0"),
    packet(b"L", b"Subject\0x\n\ty\0"),
    packet(b"B", b"body\r\n"),
)


async def test_a_message_is_heard_whole_and_only_its_end_is_answered() -> None:
    """Where the server agrees that nobody waits."""
    heard = Heard()
    async with talk(heard) as server:
        server.say(EVERYTHING, *MAIL, packet(b"E", b"end\r\n"))
        agreed, added, accepted = await server.hear(3)
    assert agreed[:1] + agreed[5:9] == b"O" + struct.pack(">I", 0x33)
    assert (added, accepted) == (b"hX\0y\0", b"a")
    (message,) = heard.messages
    assert (message.recipients, bytes(message.body)) == (["ann@corp.test"], b"body\r\nend\r\n")
    assert message.head == b"Subject: x\r\n\ty\r\n\r\n"


async def test_a_server_that_waits_is_answered_each_time() -> None:
    """Older ones know no silence."""
    async with talk(Heard()) as server:
        steps = packet(b"C", b"host\0U"), packet(b"H", b"host\0"), *MAIL[1:], packet(b"N"), packet(b"E")
        server.say(NOTHING_SKIPPED, *steps)
        answers = await server.hear(9)
    assert answers[1:] == [*[b"c"] * 7, b"hX\0y\0"]


async def test_a_message_given_up_is_forgotten() -> None:
    """The next on the connection has nothing of it."""
    heard = Heard()
    async with talk(heard) as server:
        server.say(
            EVERYTHING, *MAIL, packet(b"A"), packet(b"M", b"<>\0"), packet(b"R", b"<bob@corp.test>\0"), packet(b"E")
        )
        await server.hear(3)
    (message,) = heard.messages
    assert (message.recipients, message.headers, bytes(message.body)) == (["bob@corp.test"], [], b"")


async def test_what_is_too_large_is_not_kept() -> None:
    """It is told apart from what is whole."""
    heard = Heard()
    async with talk(heard) as server:
        server.say(EVERYTHING, *MAIL)
        piece = packet(b"B", b"x" * 65_535)
        for _ in range(MAX_MESSAGE // 65_535 + 2):
            server.say(piece)
            await server.writer.drain()
        server.say(packet(b"E"))
        await server.hear(3)
    assert heard.messages[0].too_large
    assert len(heard.messages[0].body) <= MAX_MESSAGE


@pytest.mark.parametrize(
    "said",
    [
        packet(b"O", struct.pack(">III", 2, 0x1FF, 0)),
        packet(b"O", struct.pack(">III", 6, 0x01, 0)),
        packet(b"O", b"short"),
        struct.pack(">I", 1 << 30) + b"B",
        struct.pack(">I", 0),
        EVERYTHING[:4] + b"R" + b"x" * 12,
        packet(b"L", b"no end"),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
async def test_who_speaks_otherwise_is_left(said: bytes) -> None:
    """And others are served after it."""
    heard = Heard()
    async with serving(heard, LOCAL) as port:
        async with dialled(port) as stranger:
            stranger.say(said)
            assert await stranger.gone()
        async with dialled(port) as server:
            server.say(EVERYTHING, *MAIL, packet(b"E"))
            assert (await server.hear(3))[-1] == b"a"


async def test_connections_are_limited() -> None:
    """One too many is closed at once; those that are there go on."""
    async with serving(Heard(), LOCAL, connections=1) as port, dialled(port) as first:
        first.say(EVERYTHING)
        await first.hear(1)
        async with dialled(port) as second:
            assert await second.gone()
        first.say(packet(b"Q"))
        assert await first.gone()


async def test_a_taken_port_is_said_to_be_taken() -> None:
    """Not a stack trace."""
    async with serving(Heard(), LOCAL) as port:
        with pytest.raises(PortTakenError):
            async with serving(Heard(), Address("127.0.0.1", port)):
                pass


def test_a_mark_fits_its_body_and_no_other() -> None:
    """Line ends and empty lines around do not count; what is said does."""
    key, body = b"k" * 32, b"hello\r\nthere\r\n"
    value = mark.made(key, "done; links=1", body)

    def raw(value: str, body: bytes) -> bytes:
        return b"Subject: x\n" + f"{mark.HEADER}: {value}\n\n".encode() + body

    assert mark.read(key, raw(value, b"hello\nthere\n\n")) == "done; links=1"
    assert mark.read(key, raw(value, b"hello\nThere\n")) is None
    assert mark.read(key, raw(value.replace("=1", "=2"), body)) is None
    assert mark.read(b"other" * 8, raw(value, body)) is None
    assert mark.read(key, b"Subject: x\n\n" + body) is None
