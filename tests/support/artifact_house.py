"""Artifacts as an agent brings them in, chunk by chunk, and as people take them out, over real gRPC."""

import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quell.device.v1 import (
    agent_service_pb2,
    agent_service_pb2_grpc,
    artifact_service_pb2,
    artifact_service_pb2_grpc,
)
from quell.executor.v1 import executor_service_pb2, target_report_pb2
from quell.remediation.v1 import device_pb2, remediation_pb2, target_pb2
from quell.warrant.v1 import warrant_pb2

from deployment import Deployment
from device_center import CENTER, Center, center
from device_house import Agent, House, action_name, refused, running, sealed
from eventually import eventually
from quell_device.settings import ArtifactStore
from quell_runtime.client import Problem

CHUNK = 128 << 10
MIB = 1 << 20
WHY = "to look at it"
CONTENT = os.urandom(2 * MIB) + b"MALWARE" * 60_000
"""Two parts and some of a third."""
NOBODY = "artifacts/" + "0" * 32
Responses = list[agent_service_pb2.UploadArtifactResponse]


def sample(device: str) -> remediation_pb2.Remediation:
    """Return the request of a sample."""
    file = target_pb2.FileSelector(path="/tmp/x")  # noqa: S108 - nobody opens it
    return remediation_pb2.Remediation(request_sample=device_pb2.RequestSample(device=device, file=file))


async def handed(center: Center, agent: Agent, remediation: remediation_pb2.Remediation | None = None) -> str:
    """Hand an action that brings something in, or another one, down to an agent that is connected."""

    async def there() -> bool:
        return center.last(agent) == target_report_pb2.TARGET_STATE_CONNECTED

    await eventually(there, bool)
    action = action_name()
    warrant = warrant_pb2.Warrant(
        action=action, target_key=agent.key.key_id, sequence=1, remediation=remediation or sample(agent.name)
    )
    await center.down(warrants=executor_service_pb2.Warrants(warrants=[sealed(CENTER, warrant)]))

    async def accepted() -> bool:
        return action in center.accepted

    await eventually(accepted, bool)
    return action


@dataclass
class Upload:
    """One stream of an upload."""

    call: Any

    async def header(self, action: str, content: bytes, **fields: object) -> agent_service_pb2.UploadArtifactResponse:
        """Say what comes, and return the first answer."""
        proper = {"action": action, "size_bytes": len(content), "sha256": hashlib.sha256(content).digest()}
        header = agent_service_pb2.ArtifactHeader(**(proper | fields))  # type: ignore[arg-type]
        await self.call.write(agent_service_pb2.UploadArtifactRequest(header=header))
        return await self.answer()

    async def chunk(self, offset: int, data: bytes) -> None:
        """Send some bytes."""
        chunk = agent_service_pb2.ArtifactChunk(offset=offset, data=data)
        await self.call.write(agent_service_pb2.UploadArtifactRequest(chunk=chunk))

    async def send(self, content: bytes, begin: int = 0, end: int | None = None) -> None:
        """Send content from one offset to another."""
        end = len(content) if end is None else end
        for offset in range(begin, end, CHUNK):
            await self.chunk(offset, content[offset : min(end, offset + CHUNK)])

    async def answer(self) -> agent_service_pb2.UploadArtifactResponse:
        """Return the next answer, or raise why there is none."""
        found = await self.call.read()
        assert isinstance(found, agent_service_pb2.UploadArtifactResponse), "it ended without a word"
        return found

    async def stored(self, count: int) -> None:
        """Wait until so many bytes are stored."""
        while (await self.answer()).stored_bytes < count:
            pass


@asynccontextmanager
async def uploading(agent: Agent) -> AsyncIterator[Upload]:
    """Open a stream, and break it when left."""
    async with agent.channel() as channel:
        call = agent_service_pb2_grpc.AgentServiceStub(channel).UploadArtifact()
        try:
            yield Upload(call)
        finally:
            call.cancel()


async def uploaded(agent: Agent, action: str, content: bytes, **fields: object) -> str:
    """Bring all of it in, from where it stands, and return its name."""
    async with uploading(agent) as upload:
        answer = await upload.header(action, content, **fields)
        await upload.send(content, answer.stored_bytes)
        while not answer.artifact:
            answer = await upload.answer()
    return answer.artifact


@asynccontextmanager
async def artifacts(
    house: House, who: str = "ann"
) -> "AsyncIterator[artifact_service_pb2_grpc.ArtifactServiceAsyncStub]":
    """Dial the artifacts as somebody."""
    async with house.deployment.channel(house.service.api.port, who, "device") as channel:
        yield artifact_service_pb2_grpc.ArtifactServiceStub(channel)


async def downloaded(house: House, name: str, offset: int = 0, who: str = "ann") -> bytes:
    """Take it out."""
    request = artifact_service_pb2.DownloadArtifactRequest(name=name, comment=WHY, offset=offset)
    async with artifacts(house, who) as stub:
        return b"".join([piece.data async for piece in stub.DownloadArtifact(request)])


async def taking(house: House, name: str, offset: int = 0, who: str = "ann", comment: str = WHY) -> Problem:
    """Return why a download ends."""
    request = artifact_service_pb2.DownloadArtifactRequest(name=name, comment=comment, offset=offset)

    async def take() -> None:
        async with artifacts(house, who) as stub:
            async for _ in stub.DownloadArtifact(request):
                pass

    return await refused(take)


@dataclass
class Scene:
    """A device service, the Action Center before it, and an agent behind it."""

    house: House
    center: Center
    agent: Agent

    async def brought(self, content: bytes = CONTENT) -> str:
        """Bring content in for a new action."""
        return await uploaded(self.agent, await handed(self.center, self.agent), content)

    @property
    def files(self) -> list[Path]:
        """What lies in the store."""
        return sorted(path for path in (self.house.folder / "device/artifacts").rglob("*") if path.is_file())


@asynccontextmanager
async def played(deployment: Deployment, folder: Path, store: ArtifactStore | None = None) -> AsyncIterator[Scene]:
    """Set the scene over the data in a folder."""
    async with running(deployment, folder, store) as house:
        agent = await house.enrolled()
        async with center(house, start=1) as found, agent.connected():
            yield Scene(house, found, agent)


def changed(path: Path) -> None:
    """Flip a bit."""
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
