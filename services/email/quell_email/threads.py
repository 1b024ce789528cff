"""Blocking work beside the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

T = TypeVar("T")


async def finished(work: Callable[[], T], threads: Executor | None = None) -> T:
    """Do blocking work in a thread. Whoever is cancelled meanwhile waits: nothing is to change behind its back."""
    working = asyncio.get_running_loop().run_in_executor(threads, work)
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working])
        raise
