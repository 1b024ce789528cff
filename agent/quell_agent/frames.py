"""Messages over a socket pair, each behind its length. Either end may be in the wrong hands."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

from google.protobuf.message import DecodeError, Message

MOST_BYTES = 5 << 20
"""A message of the gateway has 4 MiB at most."""
LENGTH = 4
Heard = TypeVar("Heard", bound=Message)


class FrameError(Exception):
    """The other end says what it must not."""


class Frames(Generic[Heard]):
    """One end."""

    def __init__(self, heard: type[Heard], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hear messages of one type."""
        self._heard = heard
        self._reader = reader
        self._writer = writer
        self._turn = asyncio.Lock()

    @classmethod
    async def over(cls, end: socket.socket, heard: type[Heard]) -> "Frames[Heard]":
        """Speak over a connected socket, which from now on belongs to this."""
        return cls(heard, *await asyncio.open_unix_connection(sock=end))

    async def send(self, message: Message) -> None:
        """Send a message; wait while the other end is slow.

        Raises:
            OSError: The other end is gone.

        """
        body = message.SerializeToString()
        if len(body) > MOST_BYTES:
            raise FrameError("the message is larger than the other end would take")
        async with self._turn:
            self._writer.write(len(body).to_bytes(LENGTH, "big") + body)
            await self._writer.drain()

    async def __aiter__(self) -> AsyncIterator[Heard]:
        """Return what comes, until the other end is gone.

        Raises:
            FrameError: It is too large, no message, or an empty one.

        """
        while True:
            try:
                size = int.from_bytes(await self._reader.readexactly(LENGTH), "big")
                if size > MOST_BYTES:
                    raise FrameError("a message is too large")
                body = await self._reader.readexactly(size)
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            try:
                message = self._heard.FromString(body)
            except DecodeError:
                raise FrameError("what came is no message") from None
            if message.WhichOneof("message") is None:
                raise FrameError("a message is empty")
            yield message

    def close(self) -> None:
        """Hang up."""
        self._writer.close()
