"""Dialling an executor over gRPC with mutual TLS, again within a second for as long as it takes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import structlog
from quell.executor.v1 import executor_service_pb2, executor_service_pb2_grpc

from quell_actioncenter.domain.ports import LinkLostError
from quell_runtime import client

_log = structlog.get_logger()
PAUSE_S = 0.5
CONNECT_S = 5.0
GONE = (grpc.RpcError, grpc.aio.UsageError, asyncio.InvalidStateError)
"""What grpc.aio raises on a call that is over; a write raises `InvalidStateError`, not `AioRpcError`."""


class GrpcLink:
    """One call of `Work`, on a channel of its own."""

    def __init__(self, channel: grpc.aio.Channel, call: Any) -> None:  # noqa: ANN401 - grpc's stubs know the sync API only
        """Take the call."""
        self._channel = channel
        self._call = call

    async def send(self, request: executor_service_pb2.WorkRequest) -> None:
        """Send a message."""
        try:
            await self._call.write(request)
        except GONE as error:
            raise LinkLostError("the call is over") from error

    async def received(self) -> AsyncIterator[executor_service_pb2.WorkResponse]:
        """Yield what comes up."""
        try:
            async for response in self._call:
                yield response
        except grpc.aio.AioRpcError as error:
            told = client.problem(error)
            _log.info("work_ended", code=told.code.name, reason=told.reason)
        except GONE:
            return

    async def close(self) -> None:
        """End the call and its channel."""
        self._call.cancel()
        await self._channel.close()


class GrpcDialer:
    """Reaches one executor."""

    def __init__(self, address: str, credentials: client.Credentials, server_name: str = "") -> None:
        """Remember where it is, and how to show who we are."""
        self._address = address
        self._credentials = credentials
        self._server_name = server_name

    async def dial(self) -> GrpcLink:
        """Return a new call, once the executor can be reached."""
        while True:
            # Files are read anew: a certificate may have been renewed.
            channel = client.channel(self._address, self._credentials, self._server_name)
            try:
                await asyncio.wait_for(channel.channel_ready(), CONNECT_S)
                stub = executor_service_pb2_grpc.ExecutorServiceStub(channel)
                return GrpcLink(channel, stub.Work())
            except (TimeoutError, OSError, *GONE):
                await channel.close()
                await asyncio.sleep(PAUSE_S)
            except asyncio.CancelledError:
                await channel.close()
                raise
