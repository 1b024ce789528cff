"""The outermost of a process: configuration in, clean end out.

A composition root is `async def serve(settings, stop)`: it starts, calls `ready()`, awaits `stop.wait()`, drains.
"""

import argparse
import asyncio
import gc
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, TypeVar

from quell_runtime import logs
from quell_runtime.errors import QuellError

WRONG = 2
"""Exit code of what people can put right: a wrong key, a port or folder that is taken."""
YOUNG = 20_000
"""Objects that come to be before some are looked through for garbage in circles, of which we make next to none."""


class Settings(Protocol):
    """The configuration of any process."""

    @property
    def log_level(self) -> str:
        """From which level on it logs."""


S = TypeVar("S", bound=Settings)


def ready() -> None:
    """Tell who started the process that it serves: one line on stdout."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def run(name: str, load: Callable[[Path | None], S], serve: Callable[[S, asyncio.Event], Awaitable[None]]) -> int:
    """Run a process until it is told to stop, and return its exit code. `load` reads its configuration."""
    parser = argparse.ArgumentParser(prog=name, description=f"Runs {name}. QUELL_... variables stand above the file.")
    parser.add_argument("--config", type=Path, metavar="FILE.toml", help="the configuration")
    path: Path | None = parser.parse_args().config
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        settings = load(path)
        logs.configure(name, settings.log_level)
        # What the modules hold stays for good, and need not be looked through again and again.
        gc.freeze()
        gc.set_threshold(YOUNG)
        asyncio.run(_until_stopped(settings, serve))
    except QuellError as error:
        sys.stderr.write(f"{name}: {error.message}\n")
        return WRONG
    return 0


async def _until_stopped(settings: S, serve: Callable[[S, asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(settings, stop)
