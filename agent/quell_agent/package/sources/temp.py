"""Listings of the folders that anybody may write: names and facts of everything in them, content of nothing."""

import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

from quell_agent import files
from quell_agent.package.item import Item, Status, document
from quell_agent.package.machine import Machine, facts_of

FOLDERS = ("/tmp", "/var/tmp", "/dev/shm", "/run/lock", "/run/user", "/var/crash", "/var/spool")  # noqa: S108 - names


def items(machine: Machine) -> Iterator[Item]:
    """Yield a listing of each folder."""
    for folder in FOLDERS:
        rows = listing(machine, folder)
        most = machine.limits.rows
        name = folder.strip("/").replace("/", "-")
        yield document(f"temporary-files/{name}.json", folder, islice(rows, most))
        if next(rows, None) is not None:
            yield Item(Status.LEFT_OUT, folder, reason="TOO_MANY", message=f"more than {most} entries")


def listing(machine: Machine, top: str) -> Iterator[dict[str, Any]]:
    """Yield what is known of everything below a folder."""
    for path, folder, entry in machine.walk.entries(top):
        with suppress(OSError):
            row: dict[str, Any] = {"path": files.shown(path), **facts_of(entry.stat(follow_symlinks=False))}
            if entry.is_symlink():
                row["link"] = files.shown(os.readlink(entry.name, dir_fd=folder))
            yield row
