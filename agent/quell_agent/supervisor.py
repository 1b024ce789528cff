"""What systemd is told: that the agent runs, and again and again that it still does (sd_notify(3))."""

import asyncio
import contextlib
import os
import socket


def tell(word: str) -> None:
    """Say a word to whoever supervises this process, if somebody does."""
    where = os.environ.get("NOTIFY_SOCKET", "")
    if not where:
        return
    # A name that begins with @ is an abstract one.
    address = "\0" + where[1:] if where.startswith("@") else where
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        out.sendto(word.encode(), address)


async def keep_alive() -> None:
    """Say so twice in each of the times after which it would be started again; for ever, also if nobody asks."""
    often = int(os.environ.get("WATCHDOG_USEC", "0")) / 2_000_000
    while often:
        tell("WATCHDOG=1")
        await asyncio.sleep(often)
    await asyncio.Event().wait()
