"""An event loop whose time leaps to the next timer; whatever is ready runs in the order in which it became so."""

import asyncio
import selectors

from typing_extensions import override


class StuckError(RuntimeError):
    """Everybody waits, and nothing is going to happen any more."""


class LeapingSelector(selectors.SelectSelector):
    """Nothing ever comes from outside: to wait is to let time pass."""

    def __init__(self) -> None:
        """Begin at 0."""
        super().__init__()
        self.time = 0.0

    @override
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise StuckError("everybody waits")
        self.time += max(timeout, 0.0)
        return []


class LeapingLoop(asyncio.SelectorEventLoop):
    """Its time is its selector's."""

    def __init__(self) -> None:
        """Begin at 0."""
        self._leaping = LeapingSelector()
        super().__init__(self._leaping)
        # Floats far from 0 are coarser than the loop's own resolution: a timer must not be missed by a rounding.
        self._clock_resolution = 1e-6

    @override
    def time(self) -> float:
        return self._leaping.time
