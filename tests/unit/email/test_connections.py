"""How a mail server is spared: so many commands a second over all connections, and one trip at a time to a mailbox."""

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from quell_email.imap import client
from quell_email.imap.client import Pace
from quell_email.imap.connections import Connections
from quell_email.imap.settings import ImapServer

CLOSED: list[str] = []
ANN, BOB = "ann@example.org", "bob@example.org"


class FakeTime:
    """A clock that only sleeping puts forward."""

    def __init__(self) -> None:
        """Begin somewhere."""
        self.now = 100.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Be there at once."""
        self.now += seconds


@pytest.mark.parametrize("per_second", [10.0, 50.0, 1000.0])
def test_so_many_commands_go_a_second_and_no_more(monkeypatch: pytest.MonkeyPatch, per_second: float) -> None:
    """A pause saves up a tenth of a second's worth, whatever its length."""
    time = FakeTime()
    monkeypatch.setattr(client, "time", time)
    pace = Pace(per_second)
    for _ in range(3):
        began = time.now
        for _ in range(200):
            pace.wait()
        assert 199 / per_second - 0.1 - 1e-6 <= time.now - began <= 200 / per_second
        time.now += 60


@pytest.fixture
def connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Connections:
    """Return connections to a server that nobody has to talk to."""
    for name in ("mailboxes", "password"):
        (tmp_path / name).write_text("x")
    files = {"mailboxes": tmp_path / "mailboxes", "master_password": tmp_path / "password"}
    server = ImapServer.model_validate({"address": "127.0.0.1:1", "tls": "none", "master_user": "exec", **files})
    nobody = SimpleNamespace(close=lambda: CLOSED.append("one"))
    CLOSED.clear()
    monkeypatch.setattr(Connections, "_client", lambda _self, _mailbox: nobody)
    return Connections(server)


async def test_what_is_asked_of_one_mailbox_is_done_one_after_the_other(connections: Connections) -> None:
    """In the order in which it was asked; another mailbox does not wait for it."""
    done: list[str] = []
    other = threading.Event()

    def slow(_: object) -> None:
        assert other.wait(10)
        done.append("first")

    async def ask(mailbox: str, name: str) -> None:
        await connections.trip(mailbox, lambda _: done.append(name))

    first = asyncio.create_task(connections.trip(ANN, slow))
    await asyncio.sleep(0)
    later = [asyncio.create_task(ask(ANN, name)) for name in ("second", "third")]
    await asyncio.wait_for(ask(BOB, "another's"), 10)
    assert done == ["another's"]
    other.set()
    await asyncio.gather(first, *later)
    await connections.close()
    assert done == ["another's", "first", "second", "third"]


async def test_what_ends_while_it_is_hung_up_leaves_no_connection(connections: Connections) -> None:
    """Whoever asked may have given up, as when one of several fails: its trip goes to its end, and its line too."""
    go_on = threading.Event()
    going = asyncio.create_task(connections.trip(ANN, lambda _: go_on.wait(10)))
    await asyncio.sleep(0)
    closing = asyncio.create_task(connections.close())
    await asyncio.sleep(0)
    assert CLOSED == []
    go_on.set()
    await asyncio.gather(going, closing)
    assert len(CLOSED) == 1
