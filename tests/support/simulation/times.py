"""Time and chance of nodes."""

import asyncio
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Lapse:
    """Time that passes while every machine sleeps: weeks, in which no timer of a loop runs."""

    slept: float = 0.0

    def elapsed(self) -> float:
        """Return the seconds since the beginning."""
        return asyncio.get_running_loop().time() + self.slept

    def now(self) -> datetime:
        """Return the true time."""
        return START + timedelta(seconds=self.elapsed())


@dataclass
class NodeClock:
    """A node's clock: it is wrong by `skew`."""

    lapse: Lapse
    skew: timedelta = timedelta()

    def now(self) -> datetime:
        """Return what it shows."""
        return self.lapse.now() + self.skew

    def boot(self) -> float:
        """Return seconds since boot."""
        return self.lapse.elapsed() + 1000


class SeededRng:
    """The same chance for the same seed."""

    def __init__(self, seed: str) -> None:
        """Begin."""
        self._random = random.Random(seed)  # noqa: S311 - a simulation's

    def bytes(self, count: int) -> bytes:
        """Return bytes."""
        return self._random.randbytes(count)

    def fraction(self) -> float:
        """Return a fraction."""
        return self._random.random()
