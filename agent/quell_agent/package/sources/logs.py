"""The journal and the logs of the window: what was written to since it began, the newest first."""

from collections.abc import Iterator
from contextlib import suppress
from operator import itemgetter

from quell_agent.package.item import Item, Status
from quell_agent.package.machine import Machine

FOLDERS = ("/var/log", "/run/log")
JOURNAL = (".journal", ".journal~")


def items(machine: Machine) -> Iterator[Item]:
    """Yield journals whole, as files that `journalctl --file` reads; of other logs that are too large, the end."""
    found = [each for folder in FOLDERS for each in _written_since(machine, folder)]
    found.sort(key=itemgetter(0), reverse=True)
    most = machine.limits.files_of_a_pattern
    for _, path in found[:most]:
        if path.endswith(JOURNAL):
            yield machine.file(path, most_bytes=machine.limits.journal_bytes)
        else:
            yield machine.file(path, tail=True)
    if len(found) > most:
        yield Item(Status.LEFT_OUT, path="/var/log", reason="TOO_MANY", message=f"{len(found) - most} more")


def _written_since(machine: Machine, folder: str) -> Iterator[tuple[float, str]]:
    for path, _, entry in machine.walk.entries(folder):
        with suppress(OSError):
            if entry.is_file(follow_symlinks=False):
                written = entry.stat(follow_symlinks=False).st_mtime
                if written >= machine.since:
                    yield written, path
