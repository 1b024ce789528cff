"""The way of an artifact to the gateway: from where it broke, for as long as it takes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import grpc
from quell.device.v1 import agent_service_pb2, agent_service_pb2_grpc

Call: TypeAlias = (
    "grpc.aio.StreamStreamCall[agent_service_pb2.UploadArtifactRequest, agent_service_pb2.UploadArtifactResponse]"
)
Read: TypeAlias = Callable[[int], Awaitable[bytes]]
"""Returns the bytes from an offset on, 128 KiB at most; none at the end."""
FINAL = {
    grpc.StatusCode.NOT_FOUND: "ACTION_UNKNOWN",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "STORE_FULL",
    grpc.StatusCode.DATA_LOSS: "DIGEST_MISMATCH",
    grpc.StatusCode.INVALID_ARGUMENT: "OFFSET_INVALID",
}
"""What no later try would change, and its reason in the contract."""


class BrokenOffError(OSError):
    """The way broke; what is stored stays stored."""


class NeverStoredError(Exception):
    """It will never be stored. `reason` is the contract's."""

    def __init__(self, reason: str) -> None:
        """Say why."""
        super().__init__(reason)
        self.reason = reason


async def upload(
    stub: "agent_service_pb2_grpc.AgentServiceAsyncStub", header: agent_service_pb2.ArtifactHeader, read: Read
) -> agent_service_pb2.UploadArtifactResponse:
    """Bring in what is not stored yet, and return the answer that names the artifact.

    Only asked if it is stored, it may name none.

    Raises:
        BrokenOffError: The way broke.
        NeverStoredError: It was refused for good.

    """
    call = stub.UploadArtifact()
    try:
        await call.write(agent_service_pb2.UploadArtifactRequest(header=header))
        answer = await call.read()
        if isinstance(answer, agent_service_pb2.UploadArtifactResponse) and not answer.artifact:
            if header.stored_only:
                return answer
            await _send(call, answer.stored_bytes, header.size_bytes, read)
        while isinstance(answer, agent_service_pb2.UploadArtifactResponse):
            if answer.artifact:
                return answer
            answer = await call.read()
        code = await call.code()
    except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
        code = await call.code()
    finally:
        call.cancel()
    if code in FINAL:
        raise NeverStoredError(FINAL[code])
    raise BrokenOffError(code.name)


async def _send(call: Call, stored: int, size: int, read: Read) -> None:
    while stored < size:
        data = await read(stored)
        if not data:
            raise NeverStoredError("DIGEST_MISMATCH")  # it has become shorter than its header said
        chunk = agent_service_pb2.ArtifactChunk(offset=stored, data=data)
        await call.write(agent_service_pb2.UploadArtifactRequest(chunk=chunk))
        stored += len(data)
    await call.done_writing()
