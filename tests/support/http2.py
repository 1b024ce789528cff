"""HTTP/2 by hand, for what no decent client would send. The frames are real, the manners are not."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
)

from quell_runtime.client import Credentials

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
CANCEL = 8


def tls(credentials: Credentials) -> ssl.SSLContext:
    """Return the client's side of mutual TLS."""
    found = ssl.create_default_context(cafile=str(credentials.ca))
    found.load_cert_chain(credentials.certificate, credentials.key)
    found.set_alpn_protocols(["h2"])
    return found


class Connection:
    """One connection. Streams are numbered by it; whatever the server sends is read and thrown away."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection after its handshake."""
        self._reader = reader
        self._writer = writer
        self._encoder = Encoder()
        self._last = -1
        self.put_out = asyncio.Event()

    def headers(self, path: str, *, end: bool = True, extra: Iterable[tuple[str, str]] = ()) -> HeadersFrame:
        """Return the beginning of a call on a new stream, without END_STREAM."""
        self._last += 2
        block = [
            (":method", "POST"),
            (":scheme", "https"),
            (":path", path),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("grpc-timeout", "20S"),
            *extra,
        ]
        frame = HeadersFrame(self._last, self._encoder.encode(block))
        if end:
            frame.flags.add("END_HEADERS")
        return frame

    def reset(self) -> RstStreamFrame:
        """Return what takes the newest stream back."""
        return RstStreamFrame(self._last, error_code=CANCEL)

    def more(self, data: bytes) -> ContinuationFrame:
        """Return more headers for the newest stream, and never an end."""
        return ContinuationFrame(self._last, data)

    async def send(self, *frames: Frame) -> None:
        """Send frames in one write.

        Raises:
            ConnectionError: The server has closed the connection.

        """
        self._writer.write(b"".join(frame.serialize() for frame in frames))
        await self._writer.drain()
        await asyncio.sleep(0)

    async def listen(self) -> None:
        """Read until the end, answer nothing, and note that the server wants no more: by a GOAWAY, or by its end.

        The end may overtake the GOAWAY: what is still sent to a closed connection resets it, unread words included.
        """
        with suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            while True:
                frame, length = Frame.parse_frame_header(memoryview(await self._reader.readexactly(9)))
                await self._reader.readexactly(length)
                if isinstance(frame, GoAwayFrame):
                    self.put_out.set()
        self.put_out.set()


@asynccontextmanager
async def connected(port: int, credentials: Credentials) -> AsyncIterator[Connection]:
    """Connect, and say as little as HTTP/2 allows."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls(credentials), server_hostname="localhost")
    found = Connection(reader, writer)
    writer.write(PREFACE + SettingsFrame(0).serialize())
    listening = asyncio.create_task(found.listen())
    try:
        yield found
    finally:
        listening.cancel()
        writer.transport.abort()


def ping(number: int) -> PingFrame:
    """Return a ping."""
    return PingFrame(0, opaque_data=number.to_bytes(8))
