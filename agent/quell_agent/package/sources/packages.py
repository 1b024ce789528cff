"""Installed packages, as the package managers' own records have them."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from quell_agent import commands
from quell_agent.package.item import Item, document
from quell_agent.package.machine import Machine
from quell_agent.package.programs import output

STATUS = "/var/lib/dpkg/status"
FIELDS = ("Package", "Version", "Architecture", "Status", "Essential", "Maintainer")
FILES = (
    *(
        STATUS,
        "/var/lib/dpkg/diversions",
        "/var/lib/dpkg/statoverride",
        "/etc/apt/sources.list",
        "/etc/apt/preferences",
    ),
    *("/etc/apt/sources.list.d/*", "/etc/apt/preferences.d/*", "/etc/yum.repos.d/*", "/etc/apk/repositories"),
    *("/lib/apk/db/installed", "/etc/pacman.conf", "/var/log/pacman.log", "/var/lib/snapd/state.json"),
)
RPM_DATABASES = ("/var/lib/rpm", "/usr/lib/sysimage/rpm")


def items(machine: Machine) -> Iterator[Item]:
    """Yield the packages as one list, and the records."""
    if machine.text(STATUS):
        yield document("packages/packages.json", STATUS, _packages(machine))
    if machine.live and any(machine.walk.names(folder) for folder in RPM_DATABASES):
        yield output("packages/rpm.txt", commands.RPM, "-qa", "--queryformat", "%{NEVRA} %{INSTALLTIME} %{VENDOR}\\n")
    yield from machine.copies(FILES)


def _packages(machine: Machine) -> Iterator[dict[str, Any]]:
    for stanza in machine.text(STATUS).split("\n\n"):
        fields = dict(re.findall(r"^([A-Z][\w-]*): (.*)$", stanza, re.MULTILINE))
        if "Package" not in fields:
            continue
        row: dict[str, Any] = {name.lower(): fields[name] for name in FIELDS if name in fields}
        with suppress(OSError), machine.walk.folder("/var/lib/dpkg/info") as folder:
            for name in (fields["Package"], f"{fields['Package']}:{fields.get('Architecture', '')}"):
                with suppress(FileNotFoundError):
                    row["install_time"] = os.stat(f"{name}.list", dir_fd=folder, follow_symlinks=False).st_mtime
        yield row
