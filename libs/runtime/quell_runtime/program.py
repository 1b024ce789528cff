"""The outermost of a process: configuration in, clean end out.

A composition root is `async def serve(settings, stop)`: it starts, calls `ready()`, awaits `stop.wait()`, drains.
"""

import argparse
import asyncio
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from pydantic_settings import BaseSettings

from quell_runtime import config, logs
from quell_runtime.errors import QuellError

S = TypeVar("S", bound=BaseSettings)
WRONG = 2
"""Exit code of what people can put right: a wrong key, a port or folder that is taken."""


def ready() -> None:
    """Tell who started the process that it serves: one line on stdout."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def run(name: str, settings: type[S], serve: Callable[[S, asyncio.Event], Awaitable[None]]) -> int:
    """Run a process until it is told to stop, and return its exit code."""
    parser = argparse.ArgumentParser(prog=name, description=f"Runs {name}. QUELL_... variables stand above the file.")
    parser.add_argument("--config", type=Path, metavar="FILE.toml", help="the configuration")
    path: Path | None = parser.parse_args().config
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        found = config.load(settings, path)
        logs.configure(name, getattr(found, "log_level", "info"))
        asyncio.run(_until_stopped(found, serve))
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
