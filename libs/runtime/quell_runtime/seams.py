"""What domain code takes from outside, so that tests can hand in another world: time, chance, and points to crash at.

Waiting is the event loop's: code sleeps by `asyncio`, and a test's loop has virtual time.
"""

import os
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from google.protobuf.timestamp_pb2 import Timestamp

_EPOCH = datetime.fromtimestamp(0, UTC)
_MICROSECOND = timedelta(microseconds=1)
Point = Callable[[str], None]
"""Called between two durable steps with the name of the place, `kit.plan_journaled`. Does nothing in production."""


def nowhere(_name: str) -> None:
    """Pass a point: the production's."""


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> datetime:
        """Return the wall clock, UTC, aware."""

    def boot(self) -> float:
        """Return seconds since boot, suspended time included; it never jumps."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the wall clock."""
        return datetime.now(UTC)

    def boot(self) -> float:
        """Return seconds since boot."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)


class Rng(Protocol):
    """Where chance comes from."""

    def bytes(self, count: int) -> bytes:
        """Return `count` bytes that nobody can guess."""

    def fraction(self) -> float:
        """Return a number from 0 to below 1; for jitter, not for secrets."""


class SystemRng:
    """The machine's randomness."""

    def bytes(self, count: int) -> bytes:
        """Return random bytes."""
        return os.urandom(count)

    def fraction(self) -> float:
        """Return a random fraction."""
        return int.from_bytes(os.urandom(6)) / 2**48


def new_uuid(rng: Rng) -> str:
    """Return a random UUID (RFC 9562, version 4) in its text form."""
    return str(uuid.UUID(bytes=rng.bytes(16), version=4))


def micros(moment: datetime) -> int:
    """Return microseconds since 1970, as stores keep times and sequences are drawn."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(since_1970: int) -> datetime:
    """Return the time of a count of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=since_1970)


def stamp(when: datetime) -> Timestamp:
    """Return a time as the contracts write it."""
    seconds, rest = divmod(micros(when), 1_000_000)
    return Timestamp(seconds=seconds, nanos=rest * 1000)


def when(stamped: Timestamp) -> datetime:
    """Return a contract's time, to the microsecond."""
    return _EPOCH + timedelta(seconds=stamped.seconds, microseconds=stamped.nanos // 1000)
