"""One direction of one stream: what waits to be sent, in order, in bounded room, taken by the stream's one sender."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")
Reading = Callable[[], Awaitable[None]]
"""Called when it begins: a stream may be cut before that, and then nothing is left that nobody waits for."""


class Lane(Generic[T]):
    """Messages that wait for one sender. When it is closed, what waits is dropped: both ends then send again."""

    def __init__(self, room: int) -> None:
        """Let `room` messages wait."""
        self._room = room
        self._waiting: deque[T] = deque()
        self._changed = asyncio.Event()
        self._error: Exception | None = None
        self.closed = False

    def offer(self, message: T) -> bool:
        """Add a message at once; False if there is no room or nobody who will send it."""
        if self.closed or len(self._waiting) >= self._room:
            return False
        self._waiting.append(message)
        self._wake()
        return True

    async def put(self, message: T) -> None:
        """Add a message as soon as there is room, so that its sender slows down. On a closed lane it is dropped."""
        while not self.offer(message) and not self.closed:
            await self._changed.wait()

    def close(self, error: Exception | None = None) -> None:
        """End it; `error` is raised where messages are taken. The first one counts."""
        if not self.closed:
            self.closed, self._error = True, error
            self._waiting.clear()
            self._wake()

    async def take(self) -> list[T]:
        """Return all that waits, once something does; nothing at the end."""
        while not self._waiting and not self.closed:
            await self._changed.wait()
        if self._error is not None:
            raise self._error
        taken = list(self._waiting)
        self._waiting.clear()
        self._wake()
        return taken

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


async def conversation(lane: Lane[T], reading: Reading) -> AsyncGenerator[list[T], None]:
    """Yield what is to be sent while `reading` goes on; end when that ends, raise what it raises."""
    reader = asyncio.create_task(_read(lane, reading))
    try:
        while taken := await lane.take():
            yield taken
    finally:
        lane.close()
        reader.cancel()


async def _read(lane: Lane[T], reading: Reading) -> None:
    try:
        await reading()
    except Exception as error:  # noqa: BLE001 - it is raised again where the stream is answered
        lane.close(error)
    else:
        lane.close()
