"""The worker: `python -m quell_agent.package REQUEST`, a JSON object, reads this machine into an archive and ends.

It writes to the descriptor that it was given, and says on its output, a JSON object a line, how far it is; the last
line has the sources as the manifest has them.
"""

import json
import os
import platform
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import psutil

from quell_agent.commands import SET_DEATH_SIGNAL
from quell_agent.files import LIBC
from quell_agent.package.archive import Archive
from quell_agent.package.collection import Collection
from quell_agent.package.limits import MIB, Limits
from quell_agent.package.machine import Machine
from quell_agent.package.sources import SOURCES
from quell_agent.package.walk import Walk

FORMAT = 1
LOWEST_OF_USUAL = 7


def give_way() -> None:
    """Let everything else on the machine go first, and leave no core file with what we have read."""
    os.nice(10)
    psutil.Process().ionice(psutil.IOPRIO_CLASS_BE, LOWEST_OF_USUAL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def collect(request: dict[str, Any], say: Callable[[dict[str, Any]], None]) -> None:
    """Do what a request says.

    `descriptor` is where to write, `action` what it is for, `since` where the window of logs begins, `archive_bytes`
    and `seconds` are limits, `root` is `/` or a folder with a machine's files.
    """
    limits = Limits(archive_bytes=request["archive_bytes"], seconds=request["seconds"])
    # The archive can't grow on, whatever we got wrong.
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.archive_bytes + MIB, limits.archive_bytes + MIB))
    begin = time.time()
    with os.fdopen(request["descriptor"], "w+b") as out:
        archive = Archive(out, limits.archive_bytes)
        machine = Machine(Walk(request["root"]), request["since"], limits, archive.taken)
        collection, sources = Collection(machine, archive), []
        for number, source in enumerate(SOURCES):
            say({"percent": 100 * number // len(SOURCES), "message": source.name.replace("_", " ")})
            sources.append(collection.take(source))
        archive.end({**_about(request), "begin_time": begin, "end_time": time.time(), "sources": sources})
    say({"percent": 100, "message": "packed", "sources": sources})


def _about(request: dict[str, Any]) -> dict[str, Any]:
    """Return the head of the manifest: who has read what, as whom, and with which limits."""
    return {
        "format": FORMAT,
        "action": request["action"],
        "agent_version": version("quell"),
        "host": socket.gethostname(),
        "kernel": platform.release(),
        "uid": os.geteuid(),
        "logs_since": request["since"],
        "max_size_bytes": request["archive_bytes"],
    }


def _say(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Read, as the one argument says."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Whoever asked has ended: nobody wants this any more.
    LIBC.prctl(SET_DEATH_SIGNAL, int(signal.SIGINT))
    give_way()
    try:
        collect(json.loads(sys.argv[1]), _say)
    except (KeyboardInterrupt, BrokenPipeError):
        # Nobody listens any more, perhaps since before we could ask to be told. Half an archive is not even closed.
        os._exit(1)


if __name__ == "__main__":
    main()
