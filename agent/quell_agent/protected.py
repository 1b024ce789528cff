"""What no order may take away: without it the machine does not run, or we do not.

The list is the agent's own; no server can shorten it. A rule that is wrong about a system file is the accident that
security products are remembered for, so intact files of the system's packages are on it too.
"""

import hashlib
import os
import sys
from functools import cached_property
from pathlib import Path

PREFIXES = ("/boot/", "/lib/modules/", "/usr/lib/modules/", "/lib/systemd/", "/usr/lib/systemd/", "/proc/", "/sys/")
PROGRAMS = ("/proc/1/exe", "/sbin/init", "/bin/sh", "/bin/bash", "/bin/dash", "/usr/sbin/sshd")
PACKAGES = Path("/var/lib/dpkg/info")


class Protected:
    """The list: start-up, shells, the kernel's places, intact packaged files, and what the agent itself consists of."""

    def __init__(self, data: Path) -> None:
        """Take the agent's data folder."""
        self._data = f"{os.path.realpath(data)}/"
        code = [Path(module.__file__) for name in OWN if (module := sys.modules.get(name)) and module.__file__]
        folders = {*(file.parent for file in code), Path(os.__file__).parent}
        if sys.prefix != sys.base_prefix:
            folders.add(Path(sys.prefix))
        self._prefixes = PREFIXES + tuple(f"{os.path.realpath(folder)}/" for folder in folders)

    def covers(self, path: str, status: os.stat_result) -> bool:
        """Tell whether the file of this status, called by this path, may not be taken."""
        return path.startswith(self._data) or self.runs_the_machine(path, status)

    def runs_the_machine(self, path: str, status: os.stat_result) -> bool:
        """Tell whether it is a program, or a part of one, whose processes may not be stopped for what they are.

        The data folder is not among these: what was moved into the vault still runs until it is stopped.
        """
        try:
            named = os.stat(path)  # noqa: PTH116 - a path here is a str, bytes that are not UTF-8 too
        except OSError:
            return False
        if not os.path.samestat(named, status):
            # In another root folder the same path is another file.
            return False
        if (status.st_dev, status.st_ino) in self._files or path.startswith(self._prefixes):
            return True
        return _is_intact_package_file(path)

    def packaged(self, path: str) -> bool:
        """Tell whether a package of the system brought this path, changed since or not."""
        names = {path, path.removeprefix("/usr"), f"/usr{path}"}
        needles = [f"{name}\n".encode("utf-8", "surrogateescape") for name in names]
        contents = (listing.read_bytes() for listing in PACKAGES.glob("*.list"))
        return any(b"\n" + needle in content for content in contents for needle in needles)

    @cached_property
    def _files(self) -> frozenset[tuple[int, int]]:
        """Programs that must run, and everything that we run on: interpreter, C library, loader."""
        shells = Path("/etc/shells")
        listed = shells.read_text(encoding="utf-8").split() if shells.exists() else []
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        mapped = [line.split(None, 5)[5] for line in lines if line.count("/") > 0]
        found = set()
        for path in (*PROGRAMS, sys.executable, *listed, *mapped):
            try:
                status = os.stat(path)  # noqa: PTH116 - links are followed: the program itself counts
            except OSError:
                continue
            found.add((status.st_dev, status.st_ino))
        return frozenset(found)


OWN = ("quell_agent", "quell_executor", "quell_runtime")


def _is_intact_package_file(path: str) -> bool:
    """Tell whether a package of the system brought the file, and it is still as it came (Debian's own list)."""
    listed = _package_digest(path)
    if listed is None:
        return False
    digest = hashlib.md5(usedforsecurity=False)
    with Path(path).open("rb") as source:
        while block := source.read(1 << 20):
            digest.update(block)
    return digest.hexdigest() == listed


def _package_digest(path: str) -> str | None:
    if not PACKAGES.is_dir():
        return None
    # Packages may still name files by where they were before /usr took everything in.
    needles = [f"  {name}\n".encode("utf-8", "surrogateescape") for name in {path[1:], path.removeprefix("/usr/")}]
    for listing in PACKAGES.glob("*.md5sums"):
        content = listing.read_bytes()
        for needle in needles:
            if (place := content.find(needle)) >= 0:
                return content[:place].rpartition(b"\n")[2].decode()
    return None
