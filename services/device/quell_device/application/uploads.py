"""Artifacts that are on their way here: taken in parts, gone on with after any break, and checked at the end."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from quell.device.v1 import agent_service_pb2

from quell_device.application.artifacts import Artifacts
from quell_device.application.registry import Registry
from quell_device.domain.artifacts import (
    IN_ALL,
    PART_BYTES,
    ArtifactRecord,
    Quota,
    UsageRecord,
    artifact_id,
    checked,
)
from quell_device.domain.errors import (
    ArtifactDamagedError,
    BannedError,
    ChunkMisplacedError,
    HeaderMissingError,
    IdleError,
    MismatchError,
    NoRoomError,
    NoSuchArtifactError,
    ReplacedError,
)
from quell_device.domain.records import GONE
from quell_device.store.parts import Parts
from quell_device.store.tables import ARTIFACTS, DEVICES, ERRANDS, USAGE
from quell_runtime.seams import Clock, stamp, when
from quell_runtime.store import View

Requests = AsyncIterator[agent_service_pb2.UploadArtifactRequest]
LONGEST_LIFE = timedelta(days=365)
AT_ONCE = 32
"""Uploads that go on at the same time; each holds a part in memory. Others wait."""


@dataclass(frozen=True, slots=True)
class Intake:
    """What may come, how long it stays, and how long a stream may say nothing."""

    quota: Quota
    life: timedelta
    idle_s: float


class Uploads:
    """The use case of `AgentService.UploadArtifact`."""

    def __init__(self, registry: Registry, artifacts: Artifacts, parts: Parts, intake: Intake, clock: Clock) -> None:
        """Take in so."""
        self._registry = registry
        self._store = registry.store
        self._artifacts = artifacts
        self._parts = parts
        self._intake = intake
        self._clock = clock
        self._room = asyncio.Semaphore(AT_ONCE)
        self._turns: dict[str, object] = {}

    async def bring(
        self, device: str, requests: Requests
    ) -> AsyncGenerator[agent_service_pb2.UploadArtifactResponse, None]:
        """Take one artifact of a device in; its newer stream takes the place of an older one.

        Raises:
            QuellError: As the contract says.

        """
        await self._registry.admitted(device)
        header = await self._heard(requests)
        if header is None or not header.HasField("header"):
            raise HeaderMissingError("the first message is a header", "header")
        turn = self._turns[device] = object()
        try:
            record = await self._begun(device, header.header)
            yield _answer(record)
            if record.whole:
                return
            async with self._room:
                digest = await self._begun_digest(record)
                async with aclosing(self._stored(record, requests, digest, turn)) as steps:
                    async for stored in steps:
                        record = stored
                        if record.stored_bytes < record.size_bytes:
                            yield _answer(record)
                if record.stored_bytes == record.size_bytes:
                    yield _answer(await self._ended(record, digest.digest()))
        finally:
            if self._turns.get(device) is turn:
                del self._turns[device]

    async def _heard(self, requests: Requests) -> agent_service_pb2.UploadArtifactRequest | None:
        try:
            async with asyncio.timeout(self._intake.idle_s):
                return await anext(requests, None)
        except TimeoutError:
            raise IdleError("nothing came for too long: open a new stream") from None

    async def _begun(self, device: str, header: agent_service_pb2.ArtifactHeader) -> ArtifactRecord:
        """Return what is known of the artifact, now that it is known."""
        now = self._clock.now()
        artifact = artifact_id(device, header.sha256.hex(), header.size_bytes)
        known = await self._store.load(ARTIFACTS, artifact)
        if known is not None and known.whole and known.delete_time <= now:
            await self._artifacts.drop(known)
        asked = when(header.delete_time) if header.HasField("delete_time") else now + self._intake.life
        until = min(asked, now + LONGEST_LIFE)
        room, key = self._parts.room, self._parts.new_key(artifact)

        def decide(view: View) -> ArtifactRecord:
            errand = checked(view.get(ERRANDS, header.action), device)
            found = view.get(ARTIFACTS, artifact)
            if header.stored_only and (found is None or not found.whole):
                raise NoSuchArtifactError("it is not stored")
            if found is None:
                if room is not None and room < header.size_bytes:
                    raise NoRoomError("the disk of the artifacts is full")
                self._claim(view, device, header.size_bytes)
                found = ArtifactRecord(
                    artifact,
                    device,
                    errand.action,
                    errand.kind,
                    header.size_bytes,
                    header.sha256.hex(),
                    key,
                    now,
                    until,
                )
                view.put(ARTIFACTS, found)
            elif found.delete_time < until:
                found = replace(found, delete_time=until)
                view.put(ARTIFACTS, found)
            return found

        return await self._store.change(
            decide, [(ERRANDS, header.action), (ARTIFACTS, artifact), (USAGE, device), (USAGE, IN_ALL)]
        )

    def _claim(self, view: View, device: str, size: int) -> None:
        """Count the whole of it before its first byte comes."""
        used = [view.get(USAGE, of) or UsageRecord(of, 0) for of in (device, IN_ALL)]
        self._intake.quota.admit(size, *(usage.size_bytes for usage in used))
        for usage in used:
            view.put(USAGE, replace(usage, size_bytes=usage.size_bytes + size))

    async def _begun_digest(self, record: ArtifactRecord) -> "hashlib._Hash":
        """Begin the digest with what is stored, which is read for it."""
        digest = hashlib.sha256()
        try:
            for number in range(record.parts):
                part = await self._parts.get(record.id, record.key, number)
                await asyncio.to_thread(digest.update, part)
        except ArtifactDamagedError:
            raise await self._mismatch(record) from None
        return digest

    async def _stored(
        self, record: ArtifactRecord, requests: Requests, digest: "hashlib._Hash", turn: object
    ) -> AsyncGenerator[ArtifactRecord, None]:
        """Store part after part, and yield how far it is; end when all of it came, or the stream broke off."""
        waiting = bytearray()
        while record.stored_bytes < record.size_bytes:
            request = await self._heard(requests)
            if request is None:
                return
            waiting += _chunk(request, record.stored_bytes + len(waiting), record.size_bytes)
            left = record.size_bytes - record.stored_bytes
            while len(waiting) >= min(PART_BYTES, left) > 0:
                if self._turns.get(record.device) is not turn:
                    raise ReplacedError("a newer stream of this device brings something in")
                part = bytes(waiting[:PART_BYTES])
                del waiting[:PART_BYTES]
                record = await self._put(record, part)
                left = record.size_bytes - record.stored_bytes
                await asyncio.to_thread(digest.update, part)
                yield record

    async def _put(self, record: ArtifactRecord, part: bytes) -> ArtifactRecord:
        """Store the next part for good: first the part, then that it is there."""
        try:
            await self._parts.put(record.id, record.key, record.parts, part)
        except NoRoomError:
            # It will not go on for a while: what is here must not keep room from what might.
            await self._artifacts.drop(record)
            raise
        now = self._clock.now()
        return await self._store.change(
            lambda view: _grown(view, record, len(part), now), [(ARTIFACTS, record.id), (DEVICES, record.device)]
        )

    async def _ended(self, record: ArtifactRecord, digest: bytes) -> ArtifactRecord:
        if digest.hex() != record.sha256:
            raise await self._mismatch(record)
        now = self._clock.now()

        def decide(view: View) -> ArtifactRecord:
            found = _same(view, record)
            whole = found if found.whole else replace(found, whole=True, change_time=now)
            view.put(ARTIFACTS, whole)
            return whole

        return await self._store.change(decide, [(ARTIFACTS, record.id)])

    async def _mismatch(self, record: ArtifactRecord) -> MismatchError:
        await self._artifacts.drop(record)
        return MismatchError("what came, or is stored of it, is not what was announced: begin anew")


def _chunk(request: agent_service_pb2.UploadArtifactRequest, end: int, size: int) -> bytes:
    if not request.HasField("chunk"):
        raise HeaderMissingError("a header comes first, and once", "header")
    if request.chunk.offset != end or end + len(request.chunk.data) > size:
        raise ChunkMisplacedError(f"the next chunk begins at {end}, and none ends after {size}", "chunk.offset")
    return request.chunk.data


def _same(view: View, record: ArtifactRecord) -> ArtifactRecord:
    """Return the artifact, if nobody else went on with it."""
    found = view.get(ARTIFACTS, record.id)
    if found is None or found.stored_bytes != record.stored_bytes:
        raise ReplacedError("another stream went on with it")
    return found


def _grown(view: View, record: ArtifactRecord, by: int, now: datetime) -> ArtifactRecord:
    device = view.get(DEVICES, record.device)
    if device is None or device.state in GONE:
        raise BannedError("the device is banned or offboarded")
    found = _same(view, record)
    found = replace(found, stored_bytes=found.stored_bytes + by, change_time=now)
    view.put(ARTIFACTS, found)
    return found


def _answer(record: ArtifactRecord) -> agent_service_pb2.UploadArtifactResponse:
    return agent_service_pb2.UploadArtifactResponse(
        stored_bytes=record.stored_bytes,
        artifact=record.name if record.whole else "",
        delete_time=stamp(record.delete_time) if record.whole else None,
    )
