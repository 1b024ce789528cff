"""The inventory is what the mail server has now: on disk with scripts in homes, and by IMAP with ManageSieve."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from quell.email.v1 import mailbox_pb2

from forwarding_desk import ANN, MINE, OURS, Desk, homes, server
from mail_lab import MailLab
from mail_tree import CAMPAIGN
from mail_worlds import ALL, BOB, ImapWorld, Seen
from quell_email.domain.errors import BackendAwayError, MailboxUnknownError
from quell_email.domain.mailboxes import Mailboxes
from quell_email.inventory import Inventory
from quell_email.maildir.backend import Maildirs
from quell_email.maildir.index import Index
from quell_email.parsing.parser import Parser


@pytest.fixture
async def world(lab: MailLab, parser: Parser, tmp_path: Path) -> AsyncIterator[ImapWorld]:
    """Return a server whose mailboxes are in use: they exist on its disk from their first message on."""
    found = ImapWorld(lab, parser, tmp_path)
    for address in ALL:
        found.deliver(address, Seen("INBOX", CAMPAIGN), Seen("Archive", CAMPAIGN))
    yield found
    await found.close()


@pytest.fixture(params=["homes", "server"])
def desk(request: pytest.FixtureRequest, world: ImapWorld, tmp_path: Path) -> Desk:
    """Return Ann's mailbox on it, and one of the two ways to it."""
    return Desk(world.lab, homes if request.param == "homes" else server, tmp_path / "kept")


def mailboxes(desk: Desk, world: ImapWorld) -> Mailboxes:
    """Return the mailboxes in the same way: on the server's disk, or by IMAP."""
    if desk.backend is homes:
        return Maildirs(f"{desk.lab.folder}/mail/{{address}}/Maildir", Index(world.parser))
    return world.mailboxes


def outside(mailbox: mailbox_pb2.Mailbox) -> bool:
    """Tell whether it sends mail on to the outside."""
    return any(one.external for one in mailbox.forwardings)


async def test_who_forwards_outside_is_as_the_server_runs_it(desk: Desk, world: ImapWorld) -> None:
    """One of three; nobody as soon as she has switched her script off; all of it counted as its users see it."""
    inventory = Inventory(mailboxes(desk, world), desk.forwards, OURS)
    assert await inventory.list(outside, 10, "", by_forwardings=True) == []
    await desk.write("mine", MINE)
    (ann,) = await inventory.list(outside, 10, "", by_forwardings=True)
    # This server keeps line ends on its disk as Unix does, and tells others of them as the wire has them.
    one = CAMPAIGN.replace(b"\r\n", b"\n") if desk.backend is homes else CAMPAIGN
    assert (ann.name, ann.message_count, ann.size_bytes) == (f"mailboxes/{ANN}", 2, 2 * len(one))
    assert [(one.address, one.external) for one in ann.forwardings] == [
        ("ann@mail.test", True),
        ("team@example.org", False),
    ]
    await desk.write("other", b"keep;\r\n")
    assert await inventory.list(outside, 10, "", by_forwardings=True) == []
    every = await inventory.list(lambda _: True, 10, "", by_forwardings=False)
    assert [(each.name, each.message_count, each.forwardings_known) for each in every] == [
        (f"mailboxes/{address}", 2, True) for address in ALL
    ]
    assert await inventory.list(lambda _: True, 1, ANN, by_forwardings=False) == [await inventory.get(BOB)]
    with pytest.raises(MailboxUnknownError):
        await inventory.get("nobody@example.org")


async def test_a_mail_server_that_does_not_answer_is_away(world: ImapWorld) -> None:
    """It is not said that nobody forwards, nor that a mailbox is empty. The control is the test above."""
    world.lab.kill()
    try:
        dead = ImapWorld.another(world)
        dead._connections._patience_s = 0.1  # noqa: SLF001 - nobody waits for it here
        inventory = Inventory(dead, server(world.lab), OURS)
        with pytest.raises(BackendAwayError):
            await inventory.get(ANN)
        with pytest.raises(BackendAwayError):
            await Inventory(dead, None, ()).list(lambda _: True, 10, "", by_forwardings=False)
    finally:
        world.lab.start()
