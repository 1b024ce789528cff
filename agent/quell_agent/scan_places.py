"""Which files a scan reads: by scope, on local file systems, each once."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil
from quell.remediation.v1 import device_pb2

from quell_agent import files

LOCAL = {"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "tmpfs", "overlay", "vfat", "exfat", "ntfs3", "jfs"}
UNREAL = ("/proc/", "/sys/", "/dev/")
MEMORY = "/dev/shm"  # noqa: S108 - it is looked at, not written to
START_UP = (
    *("/etc/cron.d", "/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly", "/etc/cron.monthly", "/etc/crontab"),
    *("/etc/init.d", "/etc/rc.local", "/etc/profile.d", "/etc/systemd/system", "/etc/ld.so.preload"),
    *("/usr/local/bin", "/usr/local/sbin", "/var/spool/cron", "/etc/xdg/autostart"),
)
OF_EACH_USER = (".config/autostart", ".config/systemd/user", ".local/bin", ".bashrc", ".profile")
ANYBODY_WRITES = ("/tmp", "/var/tmp", MEMORY)  # noqa: S108 - as above


def places(order: device_pb2.RunAntivirusScan) -> list[str]:
    """Return the files and folders that an order means."""
    match order.WhichOneof("scope"):
        case "quick":
            homes = [Path(entry, place) for entry in _homes() for place in OF_EACH_USER]
            return [*ANYBODY_WRITES, *START_UP, *map(str, homes), *_programs()]
        case "full":
            return ["/"]
        case _:
            return [files.meant(path) for path in order.paths.paths]


def files_in(found: Iterable[str]) -> Iterator[str]:
    """Yield the regular files at and below some places, on every local file system there, each path once."""
    roots: list[str] = []
    for place in found:
        if any(place == root or place.startswith(f"{root.rstrip('/')}/") for root in roots) or _is_unreal(place):
            continue
        roots.append(place)
        if not os.path.isdir(place):  # noqa: PTH112 - a path here is a str, bytes that are not UTF-8 too
            yield place
            continue
        for top in (place, *_mounts_below(place)):
            yield from (path for path, _ in files.walk(top))


def _is_unreal(place: str) -> bool:
    return f"{place}/".startswith(UNREAL) and not f"{place}/".startswith(f"{MEMORY}/")


def _mounts_below(place: str) -> list[str]:
    """Return the local file systems mounted below a place; from the top, not the parts that are mounted once more."""
    found = {part.mountpoint for part in psutil.disk_partitions(all=True) if part.fstype in LOCAL}
    below, read = f"{place.rstrip('/')}/", {_device(place)} if place == "/" else set[int]()
    tops = (top for top in found if top != place and top.startswith(below) and not _is_unreal(top))
    return sorted(top for top in tops if _device(top) not in read)


def _device(folder: str) -> int:
    try:
        return os.stat(folder).st_dev  # noqa: PTH116 - a path here is a str
    except OSError:
        return 0


def _programs() -> list[str]:
    """Return the programs that run, by path; those of others, where we may not look, are left out."""
    return sorted({process.info["exe"] for process in psutil.process_iter(["exe"]) if process.info["exe"]})


def _homes() -> list[str]:
    entries = Path("/etc/passwd").read_text(encoding="utf-8").splitlines()
    return sorted({entry.split(":")[5] for entry in entries if entry.count(":") > 5} - {"", "/"})  # noqa: PLR2004
