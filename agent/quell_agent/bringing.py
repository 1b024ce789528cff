"""How artifacts leave the process that acts: part by part, as the talker wants them."""

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

from google.protobuf.message import Message
from quell.agent.v1 import line_pb2
from quell.device.v1 import agent_service_pb2
from quell.remediation.v1 import result_pb2

from quell_agent.frames import FrameError
from quell_executor.effect import RefusedError
from quell_runtime.seams import stamp

PART_BYTES = 128 << 10
REFUSALS = {
    "ACTION_UNKNOWN": "the gateway knows no action that asked for it",
    "STORE_FULL": "there is no room for it",
}


class Bringing:
    """The port `Uploads`, over the line to the talker: one artifact at a time, since the gateway takes one a device."""

    def __init__(self, say: Callable[[Message], Awaitable[None]]) -> None:
        """Say what is to be said to the talker that is there, if one is."""
        self._say = say
        self._turn = asyncio.Lock()
        self._number = 0
        self._file = -1
        self._bring: line_pb2.Bring | None = None
        self._brought: asyncio.Future[line_pb2.Brought] = asyncio.Future()
        self._part: asyncio.Task[None] | None = None

    async def bring(self, action: str, path: Path, delete_time: datetime | None = None) -> result_pb2.Artifact:
        """Bring a file in; see `artifacts.Uploads`."""
        async with self._turn:
            # No O_NOFOLLOW: an archive has no name but a link of /proc. Whose path it is, the caller knows.
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                digest = await asyncio.to_thread(_digest, self._file)
                return await self._bring_in(_header(action, os.fstat(self._file).st_size, digest, delete_time))
            finally:
                # A part that is still read is read to its end before the number means another file.
                if self._part:
                    await asyncio.wait([self._part])
                os.close(self._file)

    async def stored(
        self, action: str, artifact: result_pb2.Artifact, delete_time: datetime | None = None
    ) -> result_pb2.Artifact | None:
        """Ask whether it is stored; see `artifacts.Uploads`."""
        header = _header(action, artifact.size_bytes, bytes.fromhex(artifact.sha256), delete_time)
        header.stored_only = True
        async with self._turn:
            try:
                found = await self._bring_in(header)
            except RefusedError:
                # Whatever it is: if it can't be brought in either, that will say why.
                return None
        return found if found.name else None

    async def _bring_in(self, header: agent_service_pb2.ArtifactHeader) -> result_pb2.Artifact:
        self._number += 1
        self._brought = asyncio.get_running_loop().create_future()
        self._bring = line_pb2.Bring(number=self._number, header=header)
        try:
            await self.begin()
            brought = await self._brought
        finally:
            self._bring = None
        return result_pb2.Artifact(
            name=brought.artifact,
            size_bytes=header.size_bytes,
            sha256=header.sha256.hex(),
            delete_time=brought.delete_time if brought.HasField("delete_time") else None,
        )

    async def begin(self) -> None:
        """Say what is to be brought in, to a talker that has just started too."""
        if self._bring:
            await self._say(line_pb2.ToTalker(bring=self._bring))

    def heard(self, said: line_pb2.FromTalker) -> None:
        """Hear `want`, `brought` or `not_brought`; those of a bringing that is over are nothing.

        Raises:
            FrameError: It wants a part before it has the one before.

        """
        what = getattr(said, said.WhichOneof("message") or "")
        if not self._bring or what.number != self._number or self._brought.done():
            return
        match what:
            case line_pb2.Want():
                if self._part and not self._part.done():
                    raise FrameError("one part at a time")
                # In a task: whoever hears must not wait until what it answers is taken.
                self._part = asyncio.create_task(self._answer(what))
            case line_pb2.Brought():
                self._brought.set_result(what)
            case line_pb2.NotBrought(reason=reason):
                known = reason if reason in REFUSALS else "ARTIFACT_REFUSED"
                self._brought.set_exception(RefusedError(known, REFUSALS.get(known, "the gateway does not take it")))

    async def _answer(self, want: line_pb2.Want) -> None:
        file, offset = self._file, min(want.offset, (1 << 63) - 1 - PART_BYTES)
        data = await asyncio.to_thread(os.pread, file, PART_BYTES, offset)
        await self._say(line_pb2.ToTalker(part=line_pb2.Part(number=want.number, offset=want.offset, data=data)))


def _header(action: str, size: int, digest: bytes, delete_time: datetime | None) -> agent_service_pb2.ArtifactHeader:
    until = stamp(delete_time) if delete_time else None
    return agent_service_pb2.ArtifactHeader(
        action=f"actions/{action}", size_bytes=size, sha256=digest, delete_time=until
    )


def _digest(file: int) -> bytes:
    found, offset = hashlib.sha256(), 0
    while piece := os.pread(file, 1 << 20, offset):
        found.update(piece)
        offset += len(piece)
    return found.digest()
