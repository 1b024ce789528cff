"""What is to be looked at again: made known by commits, looked at one after the other, beside everything else."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

import structlog

from quell_runtime.errors import AwayError
from quell_runtime.store import Change, Store

_log = structlog.get_logger()
K = TypeVar("K")


class Backlog(Generic[K]):
    """Keys in the order in which they came, each once. What fails is tried again, after a pause and the others."""

    def __init__(
        self, told: Callable[[Change[Any]], Iterable[K]], look: Callable[[K], Awaitable[None]], pause_s: float
    ) -> None:
        """`told` says what a change has made known, and `look` does what there is to do about it."""
        self._told = told
        self._look = look
        self._pause_s = pause_s
        self._keys: dict[K, None] = {}
        self._wake = asyncio.Event()

    async def run(self, store: Store, first: Callable[[], Awaitable[Iterable[K]]] | None = None) -> None:
        """Look at what `first` returns, and at whatever commits make known from here on, until cancelled."""
        stop = store.listen(self._hear)
        try:
            self._add(await first() if first else ())
            while True:
                while self._keys:
                    await self._try(next(iter(self._keys)))
                self._wake.clear()
                await self._wake.wait()
        finally:
            stop()

    def _hear(self, changes: Sequence[Change[Any]]) -> None:
        self._add(key for change in changes for key in self._told(change))

    def _add(self, keys: Iterable[K]) -> None:
        for key in keys:
            self._keys[key] = None
            self._wake.set()

    async def _try(self, key: K) -> None:
        del self._keys[key]
        try:
            await self._look(key)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
            if not isinstance(error, AwayError):
                _log.exception("look_failed", at=str(key))
            self._add([key])
            await asyncio.sleep(self._pause_s)
