"""An event loop whose time leaps to the next thing that happens: weeks pass in no time, in the same order each run."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")
START = datetime(2026, 11, 24, 13, 0, tzinfo=UTC)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Nothing outside of it may be waited for: no threads, no sockets."""

    def __init__(self) -> None:
        """Begin at 0."""
        super().__init__()
        self._elapsed = 0.0

    def time(self) -> float:
        """Return the virtual time."""
        return self._elapsed

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled  # type: ignore[attr-defined]
        assert ready or scheduled, "nothing will ever happen again, and somebody waits for it"
        if not ready:
            self._elapsed = max(self._elapsed, scheduled[0].when())
        super()._run_once()  # type: ignore[misc]


class VirtualClock:
    """The wall clock of a virtual loop."""

    def now(self) -> datetime:
        """Return the time."""
        return START + timedelta(seconds=self.boot())

    def boot(self) -> float:
        """Return seconds since the beginning."""
        return asyncio.get_running_loop().time()


def in_virtual_time(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `work` in virtual time, from its beginning to its end."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work())
