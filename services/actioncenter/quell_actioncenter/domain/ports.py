"""What the application needs from outside, besides its store, clock and chance."""

from collections.abc import AsyncIterator
from typing import Protocol

from quell.executor.v1 import executor_service_pb2

from quell_runtime.errors import AwayError


class LinkLostError(AwayError):
    """The stream to the executor is gone; what was sent last may or may not have come."""

    reason = "EXECUTOR_AWAY"


class Link(Protocol):
    """One stream to an executor. One task sends and one receives at a time."""

    async def send(self, request: executor_service_pb2.WorkRequest) -> None:
        """Send a message, after those before it.

        Raises:
            LinkLostError: The stream is gone.

        """

    def received(self) -> AsyncIterator[executor_service_pb2.WorkResponse]:
        """Yield what comes up, until the stream ends, however it does."""

    async def close(self) -> None:
        """End the stream."""


class Dialer(Protocol):
    """How an executor is reached."""

    async def dial(self) -> Link:
        """Return a new stream, once there is one; waits between tries."""
