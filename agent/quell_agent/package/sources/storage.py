"""Storage: what is mounted, how full it is, which disks there are."""

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from quell_agent import files
from quell_agent.package.item import Item, document
from quell_agent.package.machine import Machine
from quell_agent.package.walk import LOCAL, file_system, mounts

FILES = (
    *("/proc/1/mountinfo", "/proc/partitions", "/proc/diskstats", "/proc/swaps", "/proc/mdstat"),
    *("/etc/fstab", "/etc/crypttab", "/etc/exports", "/etc/auto.*", "/sys/block/loop*/loop/backing_file"),
)


def items(machine: Machine) -> Iterator[Item]:
    """Yield space by mount, and the kernel's tables."""
    if machine.live:
        yield document("storage/space.json", "statvfs", _space())
    yield from machine.copies(FILES)


def _space() -> Iterator[dict[str, Any]]:
    for path, device, folder in mounts():
        # A mount that does not answer would keep us: only what is local is asked.
        with suppress(OSError), files.opened_folder(path) as descriptor:
            if file_system(descriptor) in LOCAL:
                found = os.fstatvfs(descriptor)
                yield {
                    "path": files.shown(path),
                    "device": device,
                    "folder": files.shown(folder),
                    "size_bytes": found.f_blocks * found.f_frsize,
                    "free_bytes": found.f_bfree * found.f_frsize,
                    "files": found.f_files,
                    "free_files": found.f_ffree,
                }
