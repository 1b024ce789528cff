"""ExecutorService: the Action Center dials it."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from quell.executor.v1 import executor_service_pb2, executor_service_pb2_grpc

from quell_device.application.gateway import Gateway


class ExecutorServicer(executor_service_pb2_grpc.ExecutorServiceServicer):
    """Hands on to agents."""

    def __init__(self, gateway: Gateway) -> None:
        """Take the router."""
        self._gateway = gateway

    async def Work(  # noqa: N802, D102 - the contract's
        self, request_iterator: AsyncIterator[executor_service_pb2.WorkRequest], _context: object
    ) -> AsyncGenerator[executor_service_pb2.WorkResponse, None]:
        async with aclosing(self._gateway.work(request_iterator)) as responses:
            async for response in responses:
                yield response
