"""How long it takes until a device is isolated: from the order to the probe that sees it, in a network of its own.

Run as a program it prints the figures. Needs root and nftables.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

import network_lab
from effect_runs import ACTION, DONE, Silent
from isolation_world import FULL, Device, started

TIMES = 10


async def measure() -> tuple[float, float] | None:
    """Return the milliseconds that the first isolation of a process takes, and the median of later ones.

    With the looks that the kit takes between, so from the warrant's arrival on but for the journal's few commits. None
    where the machine can't isolate.
    """
    if network_lab.missing():
        return None
    with tempfile.TemporaryDirectory() as folder:
        (data := Path(folder, "data")).mkdir()
        async with network_lab.Lab(Path(folder)) as lab:
            device = Device(lab, data, await started(lab, data))
            took = [await _one(device) for _ in range(TIMES + 1)]
            await device.agent.kill()
    return took[0], statistics.median(took[1:])


async def _one(device: Device) -> float:
    began = time.perf_counter()
    # Once to know what to lock, and once more under the locks.
    await device.agent.plan(FULL, None)
    plan = replace(await device.agent.plan(FULL, None), action=ACTION)
    await device.agent.probe(plan)
    await device.agent.apply(plan, Silent())
    findings = await device.agent.probe(plan)
    took = time.perf_counter() - began
    assert [each.state for each in findings] == [DONE]  # noqa: S101 - else it is no figure
    await device.release(plan)
    return took * 1e3


def main() -> None:
    """Print the figures."""
    if found := asyncio.run(measure()):
        print(f"isolation in force and seen: {found[0]:.0f} ms the first time, {found[1]:.0f} ms later; aim < 100 ms")


if __name__ == "__main__":
    main()
