"""What the application needs from outside, besides its store, clock and chance."""

from collections.abc import AsyncIterator
from typing import Protocol

from quell.executor.v1 import executor_service_pb2


class Link(Protocol):
    """One stream to an executor, open from the moment that one has it."""

    async def send(self, request: executor_service_pb2.WorkRequest) -> None:
        """Send a message, after those before it.

        Raises:
            LinkLostError: The stream is gone; what was sent may or may not have come.

        """

    def received(self) -> AsyncIterator[executor_service_pb2.WorkResponse]:
        """Yield what comes up, until the stream ends."""


class Dialer(Protocol):
    """How an executor is reached. Waits by itself between tries."""

    async def dial(self) -> Link:
        """Open a new stream; does not return before there is one."""
