"""What an agent does on this machine, each figure beside its aim; what a machine can't do is left out."""

from collections.abc import Callable

import device_effects
import execution
import isolation
import package


async def measure(line: Callable[..., None]) -> None:
    """Print the rows."""
    if isolated := await isolation.measure():
        line("isolation in force and seen, first / later", f"{isolated[0]:.0f} / {isolated[1]:.0f} ms", "aim < 100 ms")
    seconds, size, peak = await package.measure()
    line(f"package of this machine ({size / 1e6:.0f} MB)", f"{seconds:.1f} s", "aim < 20 s")
    line("memory of its workers, at the most", f"{peak:.0f} MiB")
    line("stop and quarantine of a running file of 50 MB", f"{await device_effects.quarantine():.2f} s", "aim < 1 s")
    rates = await device_effects.scan()
    ours, alone = f"{rates.ours:.0f} MB/s", f"{rates.alone:.0f} MB/s"
    line(f"scan of {rates.files} files", ours, alone, f"{rates.ours / rates.alone:.2f}")


def restriction(line: Callable[..., None]) -> None:
    """Print the rows of the restriction, which has a process of its own for each try."""
    for row in execution.measure():
        line(row.what, f"{row.figure:.1f} {row.unit}", "aim <= 30 MB" if row.what.startswith("memory") else "")
