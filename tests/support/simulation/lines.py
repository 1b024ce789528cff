"""Lines between two lives: in order, serialised, late, and cut without warning; what is under way is then lost."""

import asyncio
import random
from collections import deque
from collections.abc import Callable  # noqa: TC003 - in one place with the others

from simulation.life import Life


class CutError(Exception):
    """The line is cut."""


class End:
    """One end of a line."""

    def __init__(self, line: "Line", life: Life) -> None:
        """Belong to a line and a life."""
        self._line = line
        self.life = life
        self.other: End
        self.tap: Callable[[bytes], bool] = lambda _sent: False
        """Hears what is sent here, and tells whether it may come twice."""
        self._came: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._latest = 0.0

    async def send(self, sent: bytes) -> None:
        """Send; it comes after what was sent before, if it does."""
        self.life.check()
        if self._line.cut:
            raise CutError
        line, loop = self._line, asyncio.get_running_loop()
        for _ in range(2 if self.tap(sent) and line.chance() < line.faults.twice else 1):
            # Later than the one before: timers of one moment have no order.
            self._latest = max(self._latest + 1e-5, loop.time() + line.delay())
            loop.call_at(self._latest, self.other.come, sent)
        if line.chance() < line.faults.loss:
            line.break_off()
        await asyncio.sleep(0)

    def come(self, sent: bytes) -> None:
        """Arrive."""
        if not self._line.cut and not self._line.silent:
            self._came.append(sent)
            self._wake.set()

    async def receive(self) -> bytes | None:
        """Return the next that came; None: the line is cut."""
        while not self._came:
            if self._line.cut:
                return None
            self._wake.clear()
            await self._wake.wait()
        self.life.check()
        return self._came.popleft()

    def wake(self) -> None:
        """Notice that the line is cut, maybe before what has come was read."""
        if self._line.chance() < 0.5:
            self._came.clear()
        self._wake.set()


class Faults:
    """How bad a network is."""

    def __init__(self, chance: random.Random) -> None:
        """Draw it."""
        bad = chance.random() < 0.7
        self.loss = chance.choice((0.0, 0.01, 0.05)) * bad
        self.twice = chance.choice((0.0, 0.02, 0.1)) * bad
        self.slow = chance.choice((0.02, 0.2, 2.0, 20.0))

    def heal(self) -> None:
        """Be good from now on."""
        self.loss = self.twice = 0.0
        self.slow = 0.05


class Line:
    """A line between two lives; it ends with either of them."""

    def __init__(self, here: Life, there: Life, faults: Faults, chance: random.Random) -> None:
        """Connect them."""
        self.faults = faults
        self.chance = chance.random
        self.cut = self.silent = False
        self.here, self.there = End(self, here), End(self, there)
        self.here.other, self.there.other = self.there, self.here
        for life in (here, there):
            life.at_end(self.break_off)

    def delay(self) -> float:
        """Return how long something is under way."""
        return self.faults.slow * self.chance() ** 3

    def break_off(self) -> None:
        """Cut it."""
        if not self.cut:
            self.cut = True
            for end in (self.here, self.there):
                end.wake()

    def fall_silent(self) -> None:
        """Let nothing through any more; both ends notice by and by."""
        self.silent = True
        asyncio.get_running_loop().call_later(40 * self.chance(), self.break_off)
