"""What the process that acts brings in, by the talker's way, over real gRPC: and why it can't be."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from google.protobuf.message import Message
from quell.agent.v1 import line_pb2
from quell.device.v1 import agent_service_pb2_grpc
from quell.remediation.v1 import result_pb2

from artifact_house import MIB, Scene, downloaded, handed, played
from deployment import Deployment
from device_house import action_name
from quell_agent.bringing import Bringing
from quell_agent.talker.uploads import NeverStoredError, upload
from quell_device.settings import ArtifactStore
from quell_executor.effect import RefusedError


@dataclass
class Talker:
    """The other end of the line: it does what it is told, over a stream of an agent. `wanting` is told what it asks."""

    scene: Scene
    wanting: Callable[[int], None] = lambda _offset: None
    parts: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    work: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Have the line."""
        self.uploads = Bringing(self.say)

    async def say(self, said: Message) -> None:
        """Hear what is said to it."""
        match said:
            case line_pb2.ToTalker(bring=bring) if said.HasField("bring"):
                task = asyncio.create_task(self.bring(bring))
                self.work.add(task)
            case line_pb2.ToTalker(part=part):
                self.parts.put_nowait(part.data)

    async def bring(self, bring: line_pb2.Bring) -> None:
        """Bring an artifact in."""

        async def part(offset: int) -> bytes:
            self.wanting(offset)
            self.uploads.heard(line_pb2.FromTalker(want=line_pb2.Want(number=bring.number, offset=offset)))
            return await self.parts.get()

        async with self.scene.agent.channel() as channel:
            stub = agent_service_pb2_grpc.AgentServiceStub(channel)
            try:
                answer = await upload(stub, bring.header, part)
            except NeverStoredError as error:
                said = line_pb2.FromTalker(not_brought=line_pb2.NotBrought(number=bring.number, reason=error.reason))
            else:
                brought = line_pb2.Brought(number=bring.number, artifact=answer.artifact)
                said = line_pb2.FromTalker(brought=brought)
            self.uploads.heard(said)

    async def brought(self, path: Path, action: str = "") -> result_pb2.Artifact:
        """Have a file brought in, for an action that was handed down unless it is told otherwise."""
        action = action or await handed(self.scene.center, self.scene.agent)
        return await self.uploads.bring(action.removeprefix("actions/"), path)


async def refused(bringing: Awaitable[result_pb2.Artifact]) -> str:
    """Return why it is."""
    with pytest.raises(RefusedError) as refusal:
        await bringing
    return refusal.value.failure.reason


async def test_a_file_that_changes_meanwhile_is_not_taken(scene: Scene, tmp_path: Path) -> None:
    """It is not what was announced; control: untouched, the same file is taken."""
    path, content = tmp_path / "package.zip", os.urandom(MIB)
    path.write_bytes(content)

    def change(offset: int) -> None:
        if offset:
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    assert await refused(Talker(scene, change).brought(path)) == "ARTIFACT_REFUSED"
    path.write_bytes(content)
    assert await downloaded(scene.house, (await Talker(scene).brought(path)).name) == content


async def test_what_nobody_asked_for_is_not_taken(scene: Scene, tmp_path: Path) -> None:
    """Nor one byte of it."""
    path = tmp_path / "package.zip"
    path.write_bytes(b"content")
    offsets: list[int] = []
    assert await refused(Talker(scene, offsets.append).brought(path, action_name())) == "ACTION_UNKNOWN"
    assert (offsets, scene.files) == ([], [])


async def test_what_has_no_room_is_not_taken(deployment: Deployment, tmp_path: Path) -> None:
    """A device's share is used up; less than that is taken."""
    path = tmp_path / "package.zip"
    async with played(deployment, tmp_path, ArtifactStore(device_quota_mib=1)) as scene:
        path.write_bytes(os.urandom(2 * MIB))
        assert await refused(Talker(scene).brought(path)) == "STORE_FULL"
        path.write_bytes(b"content")
        assert (await Talker(scene).brought(path)).size_bytes == len(b"content")
