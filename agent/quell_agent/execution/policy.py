"""What may start, as the agent hands it to the guard: a file of JSON that needs no contract to be read."""

import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

OPEN, CLOSED = "open", "closed"
PACKAGES = "/var/lib/dpkg"
OWN = ("quell_agent", "quell_executor", "quell_runtime", "quell")
LOGIN = (
    *("/proc/1/exe", "/sbin/init", "/bin/sh", "/bin/bash", "/bin/dash", "/bin/login", "/sbin/agetty", "/sbin/sulogin"),
    *("/bin/su", "/usr/bin/sudo", "/bin/kill", "/bin/systemctl", "/usr/sbin/sshd", "/usr/lib/openssh/sshd-*"),
    *("/lib*/ld-linux*.so*", "/lib/*/libc.so.6", "/lib/*/libpam*.so*", "/lib/*/libnss_*.so*", "/lib/*/security/*.so"),
)
"""Programs by which root comes in and releases, and what they load: never refused while they are root's alone."""
LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
"""Where what those load lies besides; what is root's alone there is loaded where no guard can be had to look at it."""


@dataclass(frozen=True, slots=True)
class Selector:
    """One file that may start. All that is not empty must match."""

    sha256: str = ""
    sha1: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """What may start besides intact files of packages.

    `folders`: whose content, as far as root alone can change it. `own`: files and folders that the agent consists of.
    `login`: patterns of what is never refused. `dead`: what is answered while no guard lives, `open` or `closed`.
    """

    allowed: tuple[Selector, ...] = ()
    folders: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    login: tuple[str, ...] = LOGIN
    packages: str = PACKAGES
    dead: str = OPEN

    def dump(self) -> str:
        """Write it; equal policies give equal texts."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def load(cls, text: str) -> "Policy":
        """Read what `dump` wrote."""
        read = json.loads(text)
        folders, own, login = (tuple(read[name]) for name in ("folders", "own", "login"))
        allowed = tuple(Selector(**each) for each in read["allowed"])
        return cls(allowed, folders, own, login, read["packages"], read["dead"])

    @property
    def digest(self) -> str:
        """What tells one policy from another."""
        return hashlib.sha256(self.dump().encode()).hexdigest()


def is_roots(status: os.stat_result) -> bool:
    """Tell whether a file or folder of this status belongs to root, and nobody else may write to it.

    Access lists count: what they give to others shows in the bits of the group.
    """
    return status.st_uid == 0 and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def is_roots_alone(path: str) -> bool:
    """Tell whether nobody but root can change what lies at a path, which holds no links, nor put another thing there.

    A folder above may be one where everybody keeps own files (`/tmp`): there nobody can move root's.
    """
    try:
        if not is_roots(os.lstat(path)):
            return False
        above = [os.lstat(each) for each in map(str, Path(path).parents)]
    except OSError:
        return False
    return all(is_roots(each) or (each.st_uid == 0 and each.st_mode & stat.S_ISVTX) for each in above)


def own_code() -> tuple[str, ...]:
    """Return what this process consists of: interpreter, its library, the packages, and what is mapped besides."""
    packages = [next(iter(module.__path__)) for name in OWN if (module := sys.modules.get(name))]
    folders = {os.path.realpath(each) for each in (*packages, os.path.dirname(os.__file__))}  # noqa: PTH120 - a text
    if sys.prefix != sys.base_prefix:
        folders.add(os.path.realpath(sys.prefix))
    maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    mapped = {line.split(None, 5)[5] for line in maps if "/" in line}
    files = {os.path.realpath(each) for each in (sys.executable, *mapped) if os.path.isfile(each)}  # noqa: PTH113
    return tuple(sorted(folders | {each for each in files if not is_below(each, folders)}))


def is_below(path: str, folders: Iterable[str]) -> bool:
    """Tell whether a path is one of these, or lies below one."""
    return any(f"{path}/".startswith(f"{folder.rstrip('/')}/") for folder in folders)
