"""How far an action is. Told only of what takes longer than most: what is quick has its receipt before."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from quell.executor.v1 import progress_pb2

from quell_runtime.seams import stamp

QUIET = 0.2
"""Seconds after its begin in which nothing is told of an action."""


class Told:
    """The progress of one action."""

    def __init__(self, action: str, now: Callable[[], datetime], tell: Callable[[progress_pb2.Progress], None]) -> None:
        """Begin to count; `tell` takes the newest."""
        self._now = now
        self._tell = tell
        self._newest = progress_pb2.Progress(action=action, time=stamp(now()))
        self._loud = False
        self._timer = asyncio.get_running_loop().call_later(QUIET, self._speak)

    def report(self, message: str, *, percent: int | None = None) -> None:
        """Say how far it is."""
        action, time = self._newest.action, stamp(self._now())
        self._newest = progress_pb2.Progress(action=action, message=message[:1000], percent=percent, time=time)
        if self._loud:
            self._tell(self._newest)

    def _speak(self) -> None:
        self._loud = True
        self._tell(self._newest)

    def close(self) -> None:
        """Say nothing more."""
        self._timer.cancel()
        self._loud = False


class Silent:
    """Progress that nobody is told of."""

    def report(self, message: str, *, percent: int | None = None) -> None:
        """Say nothing."""
