"""Collect what an investigator needs to see of this machine into one archive; it changes nothing.

A process of its own reads, packs and ends, so that the agent stays small and a reader that hangs or dies takes nothing
along. The archive never has a name: whatever ends us, the system takes it away.
"""

import asyncio
import json
import os
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from quell.remediation.v1 import device_pb2, failure_pb2, item_pb2

from quell_agent import commands
from quell_agent.artifacts import Uploads
from quell_agent.commands import Child
from quell_executor.effect import Progress, Reading, RefusedError

WORKER = "quell_agent.package"
USUAL_BYTES = 1 << 30
LEAST_BYTES = 1 << 20
USUAL_WINDOW = 7 * 24 * 3600
SECONDS = 600.0
"""For reading. What has not begun by then is listed as left out."""
GRACE = 60.0
MEMORY_BYTES = 1 << 30
POLITELY = 5.0
WHY = {
    "NO_ROOM": "not all of it had room in the archive",
    "OUT_OF_TIME": "not all of it was read in time",
    "NOTHING_READ": "nothing of it could be read",
}


class CollectInvestigationPackage:
    """The reader."""

    def __init__(self, spool: Path, uploads: Uploads, root: Path = Path("/")) -> None:
        """Pack in a folder of our own. `root` is where the machine's files lie."""
        self._spool = spool
        self._uploads = uploads
        self._root = root

    async def read(self, action: str, order: device_pb2.CollectInvestigationPackage, progress: Progress) -> Reading:
        """Collect, and bring the archive in. Each source is an item: done, or failed if not all of it was read.

        Raises:
            RefusedError: NO_SPACE: not even a small archive would fit here. COLLECTION_FAILED: the worker ended early,
                or did not end.

        """
        with self._archive() as out:
            request = {
                "descriptor": out.fileno(),
                "action": action,
                "since": time.time() - (order.log_window.ToTimedelta().total_seconds() or USUAL_WINDOW),
                "archive_bytes": min(order.max_size_bytes or USUAL_BYTES, self._room()),
                "seconds": SECONDS,
                "root": str(self._root),
            }
            sources = await _collected(request, progress)
            progress.report("bringing the package in", percent=99)
            artifact = await self._uploads.bring(action, Path(f"/proc/{os.getpid()}/fd/{out.fileno()}"))
        return Reading(tuple(_outcome(source) for source in sources), artifact=artifact)

    @contextmanager
    def _archive(self) -> Iterator[IO[bytes]]:
        self._spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Where a file system has no files without names, one has its name for an instant.
        for left in self._spool.iterdir():
            left.unlink()
        with tempfile.TemporaryFile(dir=self._spool) as out:
            yield out

    def _room(self) -> int:
        """Return how many bytes may be used here: half of what is free."""
        found = os.statvfs(self._spool)
        room = found.f_bavail * found.f_frsize // 2
        if room < LEAST_BYTES:
            raise RefusedError("NO_SPACE", "the agent's disk is full", retryable=True)
        return room


async def _collected(request: Mapping[str, Any], progress: Progress) -> list[dict[str, Any]]:
    """Have the worker collect, and return its sources as the manifest has them. It does not outlive the call."""
    held = Child(descriptors=(request["descriptor"],), memory_bytes=MEMORY_BYTES)
    worker = await commands.spawn(WORKER, json.dumps(request), child=held, stdout=commands.PIPE)
    assert worker.stdout is not None  # noqa: S101 - it was asked for
    sources: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(SECONDS + GRACE):
            async for line in worker.stdout:
                told = json.loads(line)
                progress.report(told["message"], percent=min(98, told["percent"]))
                sources = told.get("sources", [])
            code = await worker.wait()
    except TimeoutError:
        raise RefusedError("COLLECTION_FAILED", "the worker did not end", retryable=True) from None
    finally:
        await _end(worker)
    if code or not sources:
        raise RefusedError("COLLECTION_FAILED", "the worker ended early", retryable=True)
    return sources


async def _end(worker: commands.Process) -> None:
    """End it politely first, since what it has started is not of its group; then the group."""
    with suppress(ProcessLookupError, TimeoutError):
        worker.send_signal(signal.SIGINT)
        await asyncio.wait_for(worker.wait(), POLITELY)
    with suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
    await worker.wait()


def _outcome(source: Mapping[str, Any]) -> item_pb2.ItemOutcome:
    thing = item_pb2.Item(device=item_pb2.DeviceItem(aspect=f"package.{source['source']}"))
    if source["status"] == "COLLECTED":
        return item_pb2.ItemOutcome(item=thing, state=item_pb2.ITEM_STATE_DONE)
    failure = failure_pb2.Failure(reason=source["reason"], message=WHY.get(source["reason"], "its reader ended early"))
    return item_pb2.ItemOutcome(item=thing, state=item_pb2.ITEM_STATE_FAILED, failure=failure)
