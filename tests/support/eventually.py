"""Waiting for what comes true by itself."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(look: Callable[[], Awaitable[T]], until: Callable[[T], bool], within: float = 10.0) -> T:
    """Look again and again until what is seen is as wanted, and return it; fail with the last sight after that."""
    end = time.monotonic() + within
    while True:
        seen = await look()
        if until(seen):
            return seen
        assert time.monotonic() < end, f"not so within {within} s; last seen: {seen!r}"
        await asyncio.sleep(0.02)
