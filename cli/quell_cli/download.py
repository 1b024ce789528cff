"""Taking an artifact out to a file: on from where it broke, and by its name only once it is whole."""

import asyncio
import hashlib
import os
from pathlib import Path

import grpc
from quell.device.v1 import artifact_service_pb2, artifact_service_pb2_grpc
from quell.remediation.v1 import result_pb2

from quell_cli.connection import Connection
from quell_runtime.errors import InvalidError, StateError

AGAIN_AFTER = 1.0
TRIES = 10
"""How often in a row nothing may come, once something came, before it is given up; the next call goes on."""


class TargetTakenError(StateError):
    """There is such a file already."""

    reason = "FILE_TAKEN"


class MismatchError(InvalidError):
    """What came is not the artifact."""

    reason = "DIGEST_MISMATCH"


def stub_of(connection: Connection) -> "artifact_service_pb2_grpc.ArtifactServiceAsyncStub":
    """Return the stub."""
    return connection.stub("device", artifact_service_pb2_grpc.ArtifactServiceStub)


async def download(connection: Connection, artifact: result_pb2.Artifact, target: Path, reason: str) -> None:
    """Take it out into a new file that only its owner can read.

    Raises:
        TargetTakenError: There is such a file.
        MismatchError: Its digest is another; nothing of it is left.

    """
    part = _begun(target, artifact.sha256)
    await _filled(connection, artifact, part, reason)
    _finish(part, target, artifact.sha256)


def _begun(target: Path, sha256: str) -> Path:
    """Return the file that holds what has come, there already if it was begun before."""
    if os.path.lexists(target):
        raise TargetTakenError(f"{target} is there already: name a new file")
    part = target.with_name(f"{target.name}.{sha256[:12]}.part")
    os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    return part


def _finish(part: Path, target: Path, sha256: str) -> None:
    """Give what came its name, if it is what was to come."""
    with part.open("rb") as whole:
        digest = hashlib.file_digest(whole, "sha256").hexdigest()
    if digest != sha256:
        part.unlink()
        raise MismatchError("what came is not what is stored: try again")
    # By a link, since a rename would replace what came there meanwhile.
    target.hardlink_to(part)
    part.unlink()


async def _filled(connection: Connection, artifact: result_pb2.Artifact, part: Path, reason: str) -> None:
    left = 1
    while (offset := _size(part)) < artifact.size_bytes:
        if not left:
            raise MismatchError("it ends early: try again")
        left -= 1
        request = artifact_service_pb2.DownloadArtifactRequest(name=artifact.name, comment=reason, offset=offset)
        try:
            async for piece in stub_of(connection).DownloadArtifact(request):
                left = TRIES
                _append(part, piece.data)
        except grpc.aio.AioRpcError as error:
            if not left or error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            await asyncio.sleep(AGAIN_AFTER)


def _size(part: Path) -> int:
    return part.stat().st_size


def _append(part: Path, data: bytes) -> None:
    with part.open("ab") as out:
        out.write(data)
