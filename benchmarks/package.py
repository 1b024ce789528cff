"""Collect this machine's investigation package, and say what it cost; `measure` is for a run of all benchmarks."""

import asyncio
import resource
import tempfile
import time
from datetime import datetime
from pathlib import Path

from quell.remediation.v1 import device_pb2, result_pb2

from quell_agent.effects.collect_investigation_package import CollectInvestigationPackage
from quell_executor.progress import Silent

AIM_SECONDS = 20


class Scales:
    """Weighs what is brought, and keeps nothing."""

    async def bring(self, _action: str, path: Path, _delete_time: datetime | None = None) -> result_pb2.Artifact:
        """Weigh it."""
        return result_pb2.Artifact(name="artifacts/weighed", size_bytes=path.stat().st_size)  # noqa: ASYNC240 - of a file that is open

    async def stored(
        self, _action: str, _artifact: result_pb2.Artifact, _delete_time: datetime | None = None
    ) -> result_pb2.Artifact | None:
        """Have nothing."""
        return None


async def measure() -> tuple[float, int, float]:
    """Return the seconds that a package of this machine takes, its size in bytes, and its workers' peak in MiB."""
    with tempfile.TemporaryDirectory() as spool:
        reader = CollectInvestigationPackage(Path(spool), Scales())
        begin = time.perf_counter()
        reading = await reader.read("measured", device_pb2.CollectInvestigationPackage(), Silent())
        seconds = time.perf_counter() - begin
    assert reading.artifact is not None  # noqa: S101 - a package always is one
    return seconds, reading.artifact.size_bytes, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> None:
    """Measure, and print."""
    seconds, size, peak = asyncio.run(measure())
    print(f"package of this machine: {seconds:.1f} s (aim < {AIM_SECONDS} s), {size / 1e6:.1f} MB, peak {peak:.0f} MiB")


if __name__ == "__main__":
    main()
