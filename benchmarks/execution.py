"""What the restriction of execution costs a start of a program, and how much memory its processes need.

Everything happens in namespaces of its own, on a file system in memory. `measure()` returns rows for whoever prints
them; run as a program it prints them itself. Needs root on Debian.
"""

import asyncio
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/support"))

from quell.remediation.v1 import device_pb2, target_pb2

from apart import in_namespaces, mount_memory
from quell_agent.effects.restrict_code_execution import House, RestrictCodeExecution
from quell_agent.execution import fanotify
from quell_agent.execution.control import Control
from quell_executor.progress import Silent

STARTS, OPENS = 400, 4000


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: what, how much of which unit."""

    what: str
    figure: float
    unit: str


def measure() -> list[Row]:
    """Measure. Empty where the machine can't restrict anything."""
    if fanotify.missing():
        return []
    with tempfile.TemporaryDirectory() as folder:
        said = in_namespaces(lambda: json.dumps(list(_figures(Path(folder) / "scratch"))))
    return [Row(*each) for each in json.loads(said)] if said else []


def _figures(root: Path) -> Iterator[tuple[str, float, str]]:
    mount_memory(root)
    subjects = list(_subjects(root))
    for what, times, act in subjects:
        yield f"{what}, unrestricted", _each(act, times), "us"
    effect = RestrictCodeExecution(House(root / "agent", str(root), trusted=root / "roots"))
    allowed = [target_pb2.FileSelector(sha256=_sha256(root / name)) for name in ("roots", "users")]
    began = time.perf_counter()
    asyncio.run(_restrict(effect, device_pb2.RestrictCodeExecution(allowed=allowed)))
    yield "from order to in force, the lists of packages read", (time.perf_counter() - began) * 1e3, "ms"
    # Who asks must not be taken for the agent.
    del effect
    for what, times, act in subjects:
        yield f"{what}, restricted", _each(act, times), "us"
    control = Control(root / "agent", str(root))
    status = asyncio.run(control.status())
    if status is not None:
        yield "memory of the guardian, its own", _own_memory(status.guardian), "MiB"
        yield "memory of the guard, its own", _own_memory(status.guard), "MiB"


def _subjects(root: Path) -> Iterator[tuple[str, int, Callable[[], None]]]:
    for owner, name in ((0, "roots"), (1000, "users")):
        program, data = root / name, root / f"{name}.txt"
        shutil.copy("/bin/true", program)
        data.write_text("data")
        os.chown(program, owner, owner)
        os.chown(data, owner, owner)
        yield f"start of an allowed program, {name[:-1]}'s", STARTS, partial(_start, program)
        yield f"open of data, {name[:-1]}'s", OPENS, partial(_open, data)


async def _restrict(effect: RestrictCodeExecution, order: device_pb2.RestrictCodeExecution) -> None:
    await effect.apply(await effect.plan(order, None), Silent())


def _start(program: Path) -> None:
    os.waitpid(os.posix_spawn(program, [program.name], {}), 0)


def _open(data: Path) -> None:
    os.close(os.open(data, os.O_RDONLY))


def _each(act: Callable[[], None], times: int) -> float:
    """Return how long one takes, in microseconds."""
    act()
    began = time.perf_counter()
    for _ in range(times):
        act()
    return (time.perf_counter() - began) / times * 1e6


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _own_memory(pid: int) -> float:
    """Return what a process has in memory that no file or other process shares, in MiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def main() -> None:
    """Print the figures."""
    for row in measure():
        print(f"{row.what:60} {row.figure:10.1f} {row.unit}")


if __name__ == "__main__":
    main()
