"""Programs that have no file: whether memory may hold one (`vm.memfd_noexec`, of this namespace of processes)."""

import os
from pathlib import Path

KEY = "device.execution.memory"
"""The item key of the setting."""
SYSCTL = Path("/proc/sys/vm/memfd_noexec")
NEVER = 2
"""Memory that programs ask for to start from is refused (Linux 6.3; it can be lowered again from 6.6 on)."""
LOWERED_SINCE = (6, 6)


def is_there() -> bool:
    """Tell whether the kernel has it, in the way that it can be taken back."""
    version = tuple(int(each) for each in os.uname().release.split("-")[0].split(".")[:2])
    return SYSCTL.exists() and version >= LOWERED_SINCE


def read() -> int:
    """Return how it is."""
    return int(SYSCTL.read_text(encoding="utf-8"))


def write(value: int) -> None:
    """Set it."""
    SYSCTL.write_text(f"{value}\n", encoding="utf-8")
