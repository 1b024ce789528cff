"""Locks on item keys and names: whoever has none of them taken by others goes on, the newest first."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Locks:
    """All keys of an order are taken at once, so nobody waits for anybody in a circle."""

    def __init__(self) -> None:
        """Begin with nothing taken."""
        self._taken: set[str] = set()
        self._waiting: list[tuple[int, frozenset[str], asyncio.Future[None]]] = []

    @asynccontextmanager
    async def hold(self, keys: frozenset[str], sequence: int) -> AsyncIterator[None]:
        """Hold the keys; among those who wait for the same, the highest sequence is next."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((sequence, keys, turn))
        self._grant()
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._taken -= keys
            self._waiting = [waiter for waiter in self._waiting if waiter[2] is not turn]
            self._grant()

    def _grant(self) -> None:
        claimed = set(self._taken)
        for _, keys, turn in sorted(self._waiting, key=lambda waiter: -waiter[0]):
            if claimed.isdisjoint(keys) and not turn.done():
                self._taken |= keys
                self._waiting = [waiter for waiter in self._waiting if waiter[2] is not turn]
                turn.set_result(None)
            claimed |= keys
