"""A machine that left forgets all but its vault, however often it is stopped on the way."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from quell_agent import departure
from quell_executor.journal.records import OUTGOING

FOLDERS = ("talker", "isolation", "execution", "package", "sample", "signatures")


class Killed(BaseException):
    """The agent is no more."""


def left(data: Path) -> None:
    """Have an agent that is about to forget."""
    data.mkdir(mode=0o700)
    for name in departure.FORGOTTEN:
        if name in FOLDERS:
            (data / name).mkdir()
            (data / name / "file").write_text("x")
        else:
            (data / name).write_text("x")
    (data / "vault").mkdir()
    (data / "vault/kept").write_text("x")
    departure.note(data).write_text("00000000-0000-4000-8000-000000000001")


def killed(data: Path, at: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Forget, and be killed before the nth removal; tell whether it came to that."""
    passed = 0

    def dying(real: Callable[..., None]) -> Callable[..., None]:
        def remove(*given: object, **named: object) -> None:
            nonlocal passed
            passed += 1
            if passed == at:
                raise Killed
            real(*given, **named)

        return remove

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", dying(os.unlink))
        patched.setattr(os, "rmdir", dying(os.rmdir))
        try:
            departure.forget(data)
        except Killed:
            return True
    return False


def restarted(data: Path) -> subprocess.CompletedProcess[str]:
    """Start the agent anew, without anybody to talk to."""
    environment = {"PATH": os.environ["PATH"], "QUELL_DATA": str(data)}
    command = [sys.executable, "-m", "quell_agent"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603


def test_stopped_anywhere_the_next_start_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was removed already, journal and keys too: afterwards the vault alone is there."""
    at = 1
    while True:
        data = tmp_path / str(at)
        left(data)
        if not killed(data, at, monkeypatch):
            break
        assert len(list(data.iterdir())) > 1
        if at in (1, 4, 8):
            done = restarted(data)
            assert done.returncode == 0, done.stderr
        else:
            departure.forget(data)
        assert [path.name for path in data.iterdir()] == ["vault"], at
        assert (data / "vault/kept").exists()
        shutil.rmtree(data)
        at += 1
    assert at > len(departure.FORGOTTEN)


def test_control_who_has_not_left_forgets_nothing(tmp_path: Path) -> None:
    """An agent that nobody enrolled asks for a token."""
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data/kept").write_text("x")
    done = restarted(tmp_path / "data")
    assert (done.returncode, (tmp_path / "data/kept").exists()) == (2, True)
    assert "token is missing" in done.stderr


class Journal:
    """One in which the receipt is stored while it is being looked for."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self.heard: Callable[..., None] = lambda _: None
        self.rows: list[str] = []

    def listen(self, heard: Callable[..., None]) -> None:
        """Be listened to."""
        self.heard = heard

    async def select(self, *_query: object) -> list[str]:
        """Answer what there was, and have it stored meanwhile."""
        found, self.rows = self.rows, ["the receipt"]
        if not found:
            self.heard([SimpleNamespace(table=OUTGOING, after=SimpleNamespace(stored=True))])
        return found


async def test_what_is_stored_during_the_look_is_not_missed(tmp_path: Path) -> None:
    """The agent goes; it does not wait for another word, which nobody will say."""
    departure.note(tmp_path).write_text("00000000-0000-4000-8000-000000000001")
    await asyncio.wait_for(departure.Departure(tmp_path, cast("Any", Journal())).wait(), 10)
