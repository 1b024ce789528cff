"""Work that goes to its end, whoever is cancelled meanwhile: blocking work beside the event loop, above all."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

T = TypeVar("T")


async def finished(work: Callable[[], T], threads: Executor | None = None) -> T:
    """Do blocking work in a thread, to its end."""
    return await to_the_end(asyncio.get_running_loop().run_in_executor(threads, work))


async def to_the_end(working: asyncio.Future[T]) -> T:
    """Wait for work. Whoever is cancelled meanwhile waits all the same: nothing is to change behind its back."""
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working])
        raise
