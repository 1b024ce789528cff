"""Folders by pattern and in depth, on local file systems, through descriptors and never over a link."""

import ctypes
import fnmatch
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from quell_agent import files

LOCAL = frozenset(
    {
        *(0xEF53, 0x58465342, 0x9123683E, 0xF2F52010, 0x2FC12FC1, 0xCA451A4E, 0x3153464A),  # ext, xfs, btrfs, f2fs, ...
        *(
            0x01021994,
            0x858458F6,
            0x794C7630,
            0x4D44,
            0x2011BAB0,
            0x7366746E,
        ),  # tmpfs, ramfs, overlay, vfat, exfat, ntfs
        *(0x73717368, 0xE0F5E1E2, 0x9660, 0x15013346, 0x24051905),  # squashfs, erofs, iso9660, udf, ubifs
    }
)
KERNEL = frozenset({0x9FA0, 0x62656572, 0x73636673, 0x74726163, 0x64626720, 0xCAFE4A11})
"""proc, sysfs, securityfs, tracefs, debugfs, bpf: what is read there is made at that moment."""
ALIASES = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/var/run", "/var/lock")
"""Links of the system's own at the top, by which its own files are known."""
UNREAL = ("/proc", "/sys", "/dev")
DEPTH = 3
"""How deep `**` without a number goes."""


class NotLocalError(OSError):
    """It lies on a network, on a file system that a program serves, or on none that we know: looking may never end."""


class Walk:
    """Looks below a root; every path that it takes or gives begins there."""

    def __init__(self, root: str = "/") -> None:
        """Read which links of the system's own there are."""
        self.root = root.rstrip("/")
        self._aliases = {"/proc/net": "/proc/1/net", "/proc/mounts": "/proc/1/mounts"}
        for alias in ALIASES:
            if os.path.islink(self.root + alias):  # noqa: PTH114 - a path here is a str
                target = os.path.join(os.path.dirname(alias), os.readlink(self.root + alias))  # noqa: PTH115, PTH118, PTH120
                self._aliases[alias] = os.path.normpath(target)
        self._members = lru_cache(64)(self._listed)

    def canonical(self, path: str) -> str:
        """Return a path without the links of the system's own."""
        path = os.path.normpath(path)
        for alias, target in self._aliases.items():
            if f"{path}/".startswith(f"{alias}/"):
                return self.canonical(target + path[len(alias) :])
        # Only the kernel makes links there, and its devices have a folder by no other name.
        return os.path.realpath(path) if path.startswith("/sys/") and not self.root else path

    @contextmanager
    def folder(self, path: str) -> Iterator[int]:
        """Open a folder.

        Raises:
            OSError: It is none, or may not be opened, or lies behind a link.
            NotLocalError: Nobody knows how long a look would take.

        """
        with files.opened_folder(self.root + self.canonical(path) or "/") as descriptor:
            if file_system(descriptor) not in LOCAL | KERNEL:
                raise NotLocalError(path)
            yield descriptor

    def matches(self, pattern: str) -> Iterator[str]:
        """Yield the paths that a pattern means, in order; one without wildcards whether it is there or not.

        `*`, `?`, `[...]` within a name; `**` is up to three levels, `**N` up to N.
        """
        yield from self._matches("", self.canonical(pattern).strip("/").split("/"))

    def _matches(self, above: str, parts: list[str]) -> Iterator[str]:
        if not parts:
            yield above
            return
        part, rest = parts[0], parts[1:]
        if found := re.fullmatch(r"\*\*(\d*)", part):
            yield from self._below(above, int(found[1] or DEPTH), rest)
        elif not re.search(r"[*?\[]", part):
            yield from self._matches(f"{above}/{part}", rest)
        else:
            fits = re.compile(fnmatch.translate(part)).match
            for name in self.names(above):
                if fits(name):
                    yield from self._matches(f"{above}/{name}", rest)

    def _below(self, above: str, depth: int, rest: list[str]) -> Iterator[str]:
        if rest:
            yield from self._matches(above, rest)
        if depth == 0 or above in UNREAL:
            return
        for name, is_folder in self._members(above):
            if not rest:
                yield f"{above}/{name}"
            if is_folder:
                yield from self._below(f"{above}/{name}", depth - 1, rest)

    def names(self, path: str) -> list[str]:
        """Return the names in a folder, in order; none if it can't be entered."""
        return [name for name, _ in self._members(path)]

    def _listed(self, path: str) -> list[tuple[str, bool]]:
        """Return the names in a folder, and whether each is a folder itself."""
        try:
            with self.folder(path) as descriptor, os.scandir(descriptor) as entries:
                return sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
        except OSError:
            return []

    def entries(self, top: str, *, beside: frozenset[str] = frozenset()) -> Iterator[tuple[str, int, os.DirEntry[str]]]:
        """Go through everything below a folder but its subfolders `beside`: path, the folder's descriptor, the entry.

        What can't be entered is passed over; the descriptor is good until the next is asked for.
        """
        left = [top]
        while left:
            path = left.pop()
            below = []
            try:
                with self.folder(path) as descriptor, os.scandir(descriptor) as entries:
                    for entry in entries:
                        child = f"{path.rstrip('/')}/{entry.name}"
                        if entry.is_dir(follow_symlinks=False) and child not in beside:
                            below.append(child)
                        yield child, descriptor, entry
            except OSError:
                continue
            left += sorted(below, reverse=True)


def file_system(descriptor: int) -> int:
    """Return the kind of file system that a file lies on: the kernel's number for it."""
    found = (ctypes.c_long * 32)()
    if files.LIBC.fstatfs(descriptor, found) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(found[0]) & 0xFFFFFFFF


def mounts() -> list[tuple[str, str, str]]:
    """Return where something is mounted, which device, and which folder of it."""
    lines = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()
    parts = [line.split(" ") for line in lines]
    return [(_unescaped(part[4]), part[2], _unescaped(part[3])) for part in parts]


def _unescaped(path: str) -> str:
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), os.fsencode(path)))
