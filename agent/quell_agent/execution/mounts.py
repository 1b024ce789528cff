"""Which file systems are watched: all local ones that can hold programs, in every namespace of mounts that is seen.

Not watched are those that a program answers for (FUSE) or another machine: looking at a file there could hold the guard
for ever. Nor are the kernel's own (`/proc`, `/sys`, `/dev`): opening a device may do something.
"""

import os
from collections.abc import Iterator
from pathlib import Path

IN_MEMORY = frozenset({"tmpfs", "ramfs", "overlay", "zfs"})


def mounted(root: str = "/") -> dict[str, bytes]:
    """Return a path to each local file system at or below `root`, by device as `major:minor`."""
    kinds = _local_kinds()
    found: dict[str, bytes] = {}
    for process in _one_of_each_namespace():
        for device, point, kind in _mounts(process):
            if kind in kinds and (point == root or point.startswith(f"{root.rstrip('/')}/")):
                found.setdefault(device, os.fsencode(f"/proc/{process}/root{point}"))
    return found


def _one_of_each_namespace() -> Iterator[str]:
    seen: set[str] = set()
    for process in ("self", *(each for each in os.listdir("/proc") if each.isdigit())):  # noqa: PTH208 - names only
        try:
            namespace = os.readlink(f"/proc/{process}/ns/mnt")  # noqa: PTH115 - a text
        except OSError:
            continue
        if namespace not in seen:
            seen.add(namespace)
            yield process


def _mounts(process: str) -> Iterator[tuple[str, str, str]]:
    """Yield device, place and kind of each mount that a process has (`proc_pid_mountinfo(5)`)."""
    try:
        lines = Path(f"/proc/{process}/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        fixed, _, source = line.partition(" - ")
        fields = fixed.split()
        yield fields[2], _plain(fields[4]), source.split()[0]


def _plain(escaped: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        escaped = escaped.replace(code, character)
    return escaped


def _local_kinds() -> frozenset[str]:
    """Return the kinds of file systems on block devices, and those in memory."""
    lines = Path("/proc/filesystems").read_text(encoding="utf-8").splitlines()
    on_devices = frozenset(line.strip() for line in lines if not line.startswith("nodev"))
    return (on_devices | IN_MEMORY) - {"fuseblk"}
