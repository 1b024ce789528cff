"""The port to whoever sends warrants: a conversation that may break at any time without harm."""

from collections.abc import AsyncIterator
from typing import Protocol

from quell.executor.v1 import executor_service_pb2

from quell_runtime.errors import AwayError, ChangedError, StateError


class Transport(Protocol):
    """One conversation. The kit sends from one task only."""

    async def send(self, message: executor_service_pb2.WorkResponse) -> None:
        """Send a message; wait while the other side is slow.

        Raises:
            TransportClosedError: The conversation is over.

        """

    def __aiter__(self) -> AsyncIterator[executor_service_pb2.WorkRequest]:
        """Return what comes; it ends, or raises `TransportClosedError`, when the conversation is over."""


class TransportClosedError(AwayError):
    """The conversation is over."""

    reason = "TRANSPORT_CLOSED"


class ProtocolUnsupportedError(StateError):
    """The versions have nothing in common, or the first message was no hello."""

    reason = "PROTOCOL_UNSUPPORTED"


class DeploymentMismatchError(StateError):
    """The other side belongs to another deployment."""

    reason = "DEPLOYMENT_MISMATCH"


class CenterOutdatedError(StateError):
    """An Action Center that started later was here."""

    reason = "CENTER_OUTDATED"


class StreamReplacedError(ChangedError):
    """A newer conversation took the place of this one."""

    reason = "STREAM_REPLACED"
