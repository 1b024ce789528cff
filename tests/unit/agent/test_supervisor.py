"""A supervisor is told that the agent runs, and again and again that it still does."""

import asyncio
import socket
from pathlib import Path

import pytest

from quell_agent import supervisor


async def test_it_is_told_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One word when it is told, and the watchdog's twice in each of its times."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.setblocking(False)  # noqa: FBT003 - the library's
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "20000")
        supervisor.tell("READY=1")
        alive = asyncio.create_task(supervisor.keep_alive())
        loop = asyncio.get_running_loop()
        assert [await loop.sock_recv(heard, 100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
        alive.cancel()


def test_nobody_needs_to_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Started by hand, it says nothing and fails at nothing."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    supervisor.tell("READY=1")
