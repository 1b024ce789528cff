"""Bring a copy of a file to the investigators, quarantined or not, in an archive that nobody opens by accident.

The archive has no name on disk: whatever ends us, the system takes it away. The same content is brought in once, as
long as what it became is stored.
"""

import asyncio
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from quell.remediation.v1 import device_pb2, item_pb2, result_pb2

from quell_agent import files
from quell_agent.artifacts import Uploads
from quell_agent.brought import Brought
from quell_agent.sample import Sample, Samples
from quell_agent.sample_archive import pack
from quell_executor.effect import Progress, Reading, RefusedError
from quell_runtime.seams import when

USUAL_BYTES = 512 << 20
SPARE_BYTES = 64 << 20
"""Of the disk, left free whatever is asked for."""


class RequestSample:
    """The reader."""

    def __init__(self, folder: Path, samples: Samples, uploads: Uploads) -> None:
        """Look for samples, pack them in a folder of our own, and bring them in."""
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = folder
        self._samples = samples
        self._uploads = uploads
        self._brought = Brought(folder / "brought.json")

    async def read(self, action: str, order: device_pb2.RequestSample, progress: Progress) -> Reading:
        """Find the file, pack it, bring it in: one item. A file that is nowhere is MISSING.

        Raises:
            RefusedError: TOO_LARGE, NOT_A_FILE, NOT_PERMITTED, VAULT_DAMAGED, FILE_CHANGES, NO_SPACE, STORE_FULL.

        """
        progress.report("looking for the file")
        with tempfile.TemporaryFile(dir=self._folder) as out:
            request = Request(action, order, out, progress)
            sample = await self._packed(request, unless=self._brought.has)
            if sample is None:
                gone = item_pb2.FileItem(path=order.file.path, sha256=order.file.sha256)
                return Reading((_outcome(gone, item_pb2.ITEM_STATE_MISSING),))
            artifact = await self._stored(request, sample)
            while artifact is None:
                if out.tell():
                    artifact = await self._bring(request, sample)
                elif not (sample := await self._packed(request, unless=_never)):
                    raise RefusedError("FILE_CHANGES", "the file went away while it was read", retryable=True)
        return Reading((_outcome(_item(sample), item_pb2.ITEM_STATE_DONE),), artifact=artifact)

    async def _packed(self, request: "Request", unless: Callable[[str], bool]) -> Sample | None:
        """Find the file and pack it, unless its content is such, in a thread that ends when we are cancelled."""
        stop = threading.Event()
        work = asyncio.ensure_future(asyncio.to_thread(self._pack, request, unless, stop))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.gather(work, return_exceptions=True)
            raise

    def _pack(self, request: "Request", unless: Callable[[str], bool], stop: threading.Event) -> Sample | None:
        try:
            return self._pack_what_is_found(request, unless, stop)
        except files.EndlessError:
            raise RefusedError("TOO_LARGE", "the file can't be read to its end in time") from None

    def _pack_what_is_found(
        self, request: "Request", unless: Callable[[str], bool], stop: threading.Event
    ) -> Sample | None:
        most = request.order.max_size_bytes or USUAL_BYTES
        with self._samples.opened(request.order.file, most) as sample:
            if sample is None or unless(sample.content.sha256):
                return sample
            size = max(1, sample.inode.size if sample.inode else 1)
            if size > shutil.disk_usage(self._folder).free - SPARE_BYTES:
                raise RefusedError("NO_SPACE", "the agent's disk is full", retryable=True)
            about = {"action": f"actions/{request.action}", "device": request.order.device}
            say = lambda done: request.progress.report("packing", percent=min(50, 50 * done // size))  # noqa: E731
            pack(request.out, sample, about, say, stop)
            return sample

    async def _stored(self, request: "Request", sample: Sample) -> result_pb2.Artifact | None:
        known = self._brought.get(sample.content.sha256)
        return await self._uploads.stored(request.action, known, request.until) if known else None

    async def _bring(self, request: "Request", sample: Sample) -> result_pb2.Artifact:
        request.progress.report("bringing the sample in", percent=50)
        artifact = await self._uploads.bring(
            request.action, Path(f"/proc/{os.getpid()}/fd/{request.out.fileno()}"), request.until
        )
        self._brought.put(sample.content.sha256, artifact)
        return artifact


@dataclass(frozen=True, slots=True)
class Request:
    """One request, and the archive that it fills."""

    action: str
    order: device_pb2.RequestSample
    out: IO[bytes]
    progress: Progress

    @property
    def until(self) -> datetime | None:
        """When the stored copy is thrown away."""
        return when(self.order.delete_time) if self.order.HasField("delete_time") else None


def _never(_content: str) -> bool:
    return False


def _item(sample: Sample) -> item_pb2.FileItem:
    size = sample.inode.size if sample.inode else 0
    return item_pb2.FileItem(path=files.shown(sample.path), sha256=sample.content.sha256, size_bytes=size)


def _outcome(file: item_pb2.FileItem, state: item_pb2.ItemState.ValueType) -> item_pb2.ItemOutcome:
    return item_pb2.ItemOutcome(item=item_pb2.Item(file=file), state=state)
