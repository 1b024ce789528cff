"""Artifacts that are here: given out in parts, and thrown away in time."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial

import structlog

from quell_device.domain.artifacts import IN_ALL, PART_BYTES, ArtifactRecord, ErrandRecord
from quell_device.domain.errors import NoSuchArtifactError, OffsetInvalidError
from quell_device.store.parts import Parts
from quell_device.store.tables import ARTIFACTS, ERRANDS, USAGE
from quell_executor.accesses import Accesses
from quell_runtime.seams import Clock, micros
from quell_runtime.store import Store, View

UNFINISHED_LIFE = timedelta(days=1)
"""How long a part of an artifact is kept without another one coming."""
ERRAND_LIFE = timedelta(days=90)
"""How long after it was handed to its device an action may still bring something in."""
AT_ONCE = 50
SWEEP_S = 600.0
DUE = f"WHERE (whole AND delete_time <= ?) OR (NOT whole AND change_time <= ?) ORDER BY delete_time LIMIT {AT_ONCE}"
OLD = f"WHERE time <= ? ORDER BY time LIMIT {AT_ONCE}"
_log = structlog.get_logger()


class Artifacts:
    """The use cases of `ArtifactService`, and what happens by itself."""

    def __init__(self, store: Store, parts: Parts, accesses: Accesses, clock: Clock) -> None:
        """Keep what is known in the store, and the bytes as parts."""
        self.store = store
        self._parts = parts
        self._accesses = accesses
        self._clock = clock
        self._dropping = asyncio.Lock()

    async def get(self, artifact: str) -> ArtifactRecord:
        """Return an artifact that is wholly here.

        Raises:
            NoSuchArtifactError: It is not.

        """
        found = await self.store.load(ARTIFACTS, artifact)
        if found is None or not found.whole or found.delete_time <= self._clock.now():
            raise NoSuchArtifactError("there is no such artifact, or it was thrown away")
        return found

    async def download(self, artifact: str, offset: int, actor: str, comment: str) -> AsyncGenerator[bytes, None]:
        """Yield it from an offset on, once the audit log has who takes it and why.

        Raises:
            NoSuchArtifactError, OffsetInvalidError, AuditAwayError, ArtifactDamagedError: As they say.

        """
        found = await self.get(artifact)
        if offset > found.size_bytes:
            raise OffsetInvalidError(f"it has {found.size_bytes} bytes")
        await self._accesses.tell(actor, found.name, comment, offset)
        first = offset // PART_BYTES
        for number in range(first, found.parts):
            part = await self._parts.get(found.id, found.key, number)
            if rest := part[offset - number * PART_BYTES :] if number == first else part:
                yield rest

    async def drop(self, record: ArtifactRecord) -> None:
        """Throw an artifact away, if it still is as it was seen."""
        async with self._dropping:
            if await self.store.load(ARTIFACTS, record.id) != record:
                return
            await self._parts.drop(record.id)
            await self.store.change(lambda view: _forget(view, record.id), [(ARTIFACTS, record.id)], urgent=True)

    async def run(self) -> None:
        """Throw away what is due, until cancelled."""
        while True:
            try:
                await self.sweep()
            except Exception:  # noqa: BLE001 - whatever it is, the next one is tried
                _log.exception("artifacts_not_swept")
            await asyncio.sleep(SWEEP_S)

    async def sweep(self) -> None:
        """Throw away what is due, some at a time."""
        now = self._clock.now()
        while due := await self.store.select(ARTIFACTS, DUE, (micros(now), micros(now - UNFINISHED_LIFE))):
            for record in due:
                await self.drop(record)
                _log.info("artifact_dropped", artifact=record.id, device=record.device, whole=record.whole)
        while old := await self.store.select(ERRANDS, OLD, (micros(now - ERRAND_LIFE),)):
            await self.store.change(partial(_let_go, old))


def _forget(view: View, artifact: str) -> None:
    record = view.need(ARTIFACTS, artifact)
    view.drop(ARTIFACTS, artifact)
    for of in (record.device, IN_ALL):
        usage = view.need(USAGE, of)
        view.put(USAGE, replace(usage, size_bytes=usage.size_bytes - record.size_bytes))


def _let_go(errands: Sequence[ErrandRecord], view: View) -> None:
    for errand in errands:
        view.drop(ERRANDS, errand.action)
