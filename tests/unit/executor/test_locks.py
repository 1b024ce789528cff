"""Locks: all keys at once, the newest first, nobody in a circle."""

import asyncio

from quell_executor.locks import Locks


async def test_the_newest_of_those_who_wait_is_next() -> None:
    """Those who want other keys don't wait at all."""
    locks, order = Locks(), list[str]()
    held = asyncio.Event()

    async def hold(name: str, keys: str, sequence: int, until: asyncio.Event | None = None) -> None:
        async with locks.hold(frozenset(keys), sequence):
            order.append(name)
            if until:
                await until.wait()

    tasks = [asyncio.create_task(hold("first", "ab", 1, held))]
    await asyncio.sleep(0)
    waiting = [("older", "a", 2), ("newest", "bc", 4), ("newer", "ca", 3), ("other", "d", 0)]
    tasks += [asyncio.create_task(hold(*who)) for who in waiting]
    await asyncio.sleep(0)
    assert order == ["first", "other"]
    held.set()
    await asyncio.gather(*tasks)
    assert order == ["first", "other", "newest", "newer", "older"]


async def test_who_gives_up_blocks_nobody() -> None:
    """Cancelled while waiting, or in the very moment of its turn."""
    locks = Locks()
    for turns in (0, 1):
        async with locks.hold(frozenset("a"), 1):
            given_up = asyncio.create_task(_hold(locks))
            await asyncio.sleep(0)
            if not turns:
                given_up.cancel()
                await asyncio.gather(given_up, return_exceptions=True)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        async with asyncio.timeout(5), locks.hold(frozenset("a"), 1):
            pass


async def _hold(locks: Locks) -> None:
    async with locks.hold(frozenset("a"), 2):
        await asyncio.Event().wait()
