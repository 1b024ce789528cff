"""Whether the files of installed packages are still those that were installed: what differs is listed.

Whatever can be run, and all configuration, is read and compared by digest. Of mere data (documents, headers, pictures)
only what has changed since its package was installed is read: the kernel keeps that time, and nobody can set it but by
the machine's clock.
"""

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from quell_agent import commands, files
from quell_agent.package.item import Item, document
from quell_agent.package.machine import Machine
from quell_agent.package.programs import output
from quell_agent.package.sources.packages import RPM_DATABASES, STATUS

INFO = "/var/lib/dpkg/info"
CODE = re.compile(r"(\.(so(\.[\d.]+)?|py|pm|pl|sh|ko(\.\w+)?|rb|js|lua|el|jar|service|timer|socket|conf|rules))$")
PLACES = ("/etc/", "/boot/", "/usr/lib/systemd/", "/usr/lib/modules/")
LARGEST = 512 << 20
Row = dict[str, Any]


@dataclass
class Verification:
    """What was looked at so far, and what differs."""

    machine: Machine
    diverted: dict[str, tuple[str, str]]
    read: int = 0
    by_time: int = 0
    differences: list[Row] = field(default_factory=list)

    def package(self, name: str, expected: list[tuple[str, str]], installed: float) -> None:
        """Compare the files of one package: pairs of path and MD5; `installed` is when, in seconds of Unix time."""
        folders: dict[str, list[tuple[str, str, str]]] = {}
        for path, md5 in expected:
            away = self.diverted.get(path, (path, name))
            place = self.machine.walk.canonical(path if away[1] == name else away[0])
            parent, _, leaf = place.rpartition("/")
            folders.setdefault(parent or "/", []).append((leaf, path, md5))
        for parent, members in folders.items():
            try:
                with self.machine.walk.folder(parent) as folder:
                    for leaf, path, md5 in members:
                        self._compare(name, path, _found(folder, leaf, installed, parent), md5)
            except OSError as error:
                what = "MISSING" if isinstance(error, FileNotFoundError) else "NOT_READABLE"
                for _, path, _ in members:
                    self._differs(name, path, what)

    def _compare(self, name: str, path: str, found: str, md5: str) -> None:
        if found == "UNCHANGED":
            self.by_time += 1
            return
        self.read += 1
        if found != md5:
            # The words for what is no digest are in capitals.
            what = found if found.isupper() else "CHANGED"
            self._differs(name, path, what, **({} if what == found else {"md5": found, "expected_md5": md5}))

    def _differs(self, name: str, path: str, what: str, **more: str) -> None:
        self.differences.append({"package": name, "path": files.shown(path), "what": what, **more})


def items(machine: Machine) -> Iterator[Item]:
    """Yield what differs, by the records of dpkg or rpm."""
    if names := [name for name in machine.walk.names(INFO) if name.endswith(".md5sums")]:
        verification = Verification(machine, _diversions(machine))
        for name in names:
            _verify(verification, name.removesuffix(".md5sums"))
        for package, expected in _configuration(machine):
            verification.package(package, expected, 0)
        yield document("packages/differences.json", INFO, verification.differences)
        read = {"files_read": verification.read, "files_by_time": verification.by_time}
        yield document("packages/verification.json", INFO, [{"packages": len(names), **read}])
    elif machine.live and any(machine.walk.names(folder) for folder in RPM_DATABASES):
        yield output("packages/rpm-verify.txt", commands.RPM, "-Va", "--nomtime", seconds=200)


def _verify(verification: Verification, name: str) -> None:
    machine = verification.machine
    lines = machine.text(f"{INFO}/{name}.md5sums").splitlines()
    pairs = [(f"/{path}", md5) for md5, _, path in (line.partition("  ") for line in lines)]
    installed = 0.0
    with suppress(OSError), machine.walk.folder(INFO) as folder:
        installed = os.stat(f"{name}.md5sums", dir_fd=folder, follow_symlinks=False).st_ctime
    verification.package(name.partition(":")[0], pairs, installed)


def _found(folder: int, leaf: str, installed: float, parent: str) -> str:
    """Return a file's MD5, or in capitals why there is none."""
    try:
        status = os.stat(leaf, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            return "NOT_A_FILE"
        path = f"{parent}/{leaf}"
        runs = status.st_mode & 0o111 or CODE.search(leaf) or path.startswith(PLACES)
        if not runs and status.st_ctime <= installed:
            return "UNCHANGED"
        if status.st_size > LARGEST:
            return "TOO_LARGE"
        with files.opened_file(folder, leaf) as file, os.fdopen(os.dup(file), "rb", buffering=0) as source:
            return hashlib.file_digest(source, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except FileNotFoundError:
        return "MISSING"
    except (OSError, files.NotAFileError):
        return "NOT_READABLE"


def _diversions(machine: Machine) -> dict[str, tuple[str, str]]:
    """Return where files were diverted to, and the package that has taken their place, by path."""
    lines = machine.text("/var/lib/dpkg/diversions").splitlines()
    return {path: (to, package) for path, to, package in zip(lines[::3], lines[1::3], lines[2::3], strict=False)}


def _configuration(machine: Machine) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield the configuration files of each package, which have their digests elsewhere."""
    for stanza in machine.text(STATUS).split("\n\n"):
        package = re.search(r"^Package: (\S+)$", stanza, re.MULTILINE)
        listed = re.search(r"^Conffiles:\n((?: .*\n?)+)", stanza, re.MULTILINE)
        if package and listed:
            rows = [line.split() for line in listed[1].splitlines()]
            fine = [(row[0], row[1]) for row in rows if len(row) == 2 and len(row[1]) == 32]  # noqa: PLR2004 - an MD5
            yield package[1], fine
