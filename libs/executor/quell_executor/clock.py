"""The executor's time: it never falls behind what it has seen sealed or written down."""

from datetime import datetime, timedelta

from quell_runtime.seams import Clock, moment

TOLERANCE = timedelta(minutes=5)
"""How far the own clock may lie behind the newest sealed time before nothing more is begun."""


class ExecutorTime:
    """max(own clock, newest sealed time seen, last journaled time)."""

    def __init__(self, clock: Clock) -> None:
        """Take the own clock; nothing has been seen yet."""
        self._clock = clock
        self.sealed = moment(0)
        self._journaled = moment(0)

    def saw_sealed(self, time: datetime) -> None:
        """Count a time that came sealed."""
        self.sealed = max(self.sealed, time)

    def saw_journaled(self, time: datetime) -> None:
        """Count a time that the journal holds."""
        self._journaled = max(self._journaled, time)

    def now(self) -> datetime:
        """Return the executor's time."""
        return max(self._clock.now(), self.sealed, self._journaled)

    def own(self) -> datetime:
        """Return the own clock's time."""
        return self._clock.now()

    def boot(self) -> float:
        """Return seconds since boot."""
        return self._clock.boot()

    @property
    def behind(self) -> bool:
        """Whether the own clock is too far behind to begin anything."""
        return self._clock.now() + TOLERANCE < self.sealed
