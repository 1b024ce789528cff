"""The kit over gRPC: a servicer for an executor that is dialled, and a transport for one that dials."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

import grpc.aio
from quell.executor.v1 import executor_service_pb2, executor_service_pb2_grpc

from quell_executor.executor import Executor
from quell_executor.transport import TransportClosedError

Down = TypeVar("Down")
GONE = (grpc.RpcError, grpc.aio.UsageError, asyncio.InvalidStateError)
"""What grpc.aio raises on a call that is over; a write raises `InvalidStateError`, not `AioRpcError`."""


class GrpcTransport(Generic[Down]):
    """A bidirectional call as a transport.

    An agent wraps what goes up and unwraps what comes down (`None`: not for the kit):
    `GrpcTransport(call, lambda up: call.write(ConnectRequest(up=up)), lambda response: response.down)`.
    """

    def __init__(
        self,
        down: AsyncIterable[Down],
        up: Callable[[executor_service_pb2.WorkResponse], Awaitable[None]],
        unwrap: Callable[[Down], executor_service_pb2.WorkRequest | None],
    ) -> None:
        """Take the call's two directions."""
        self._down = down
        self._up = up
        self._unwrap = unwrap

    async def send(self, message: executor_service_pb2.WorkResponse) -> None:
        """Send a message."""
        try:
            await self._up(message)
        except GONE as error:
            raise TransportClosedError("the call is over") from error

    async def __aiter__(self) -> AsyncIterator[executor_service_pb2.WorkRequest]:
        """Return what comes."""
        try:
            async for message in self._down:
                request = self._unwrap(message)
                if request is not None:
                    yield request
        except GONE as error:
            raise TransportClosedError("the call is over") from error


class ExecutorServicer(executor_service_pb2_grpc.ExecutorServiceServicer):
    """Serves an executor to the Action Center. No effect runs inside the handler: a broken call ends nothing."""

    def __init__(self, executor: Executor) -> None:
        """Take the executor."""
        self._executor = executor

    async def Work(  # type: ignore[override]  # noqa: N802 - the contract's name; the stubs know the sync API only
        self,
        request_iterator: AsyncIterator[executor_service_pb2.WorkRequest],
        context: grpc.aio.ServicerContext[executor_service_pb2.WorkRequest, executor_service_pb2.WorkResponse],
    ) -> None:
        """Hold the conversation."""
        await self._executor.serve(GrpcTransport(request_iterator, context.write, lambda request: request))
