"""MailboxService: which mailboxes there are, how large, and who sends mail on to the outside now."""

from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from grpc import StatusCode as Code
from quell.email.v1 import mailbox_pb2, mailbox_service_pb2, mailbox_service_pb2_grpc
from quell.remediation.v1 import forwarding_pb2

from email_house import EmailHouse
from house import free_ports
from mail_tree import CAMPAIGN, ordinary
from promised_errors import promised
from quell_runtime.client import problem

ALL = ("ann@example.org", "bob@example.org", "cleo@example.org")
List = mailbox_service_pb2.ListMailboxesRequest
Get = mailbox_service_pb2.GetMailboxRequest
OUTSIDE = "forwardings.external = true"
NONSENSE = "x"


async def restarted(house: EmailHouse, *lines: str) -> EmailHouse:
    """Start the house again with more in its configuration."""
    await house.kill()
    text = house.config.read_text()
    house.config.write_text("\n".join(lines[:1]) + "\n" + text + "\n" + "\n".join(lines[1:]))
    await house.start()
    return house


@pytest.fixture
async def sending(house: EmailHouse) -> EmailHouse:
    """Bob sends his mail outside, cleo hers to ann; ann once did, and her server does not run that any more."""
    homes = {address: house.tree.base / address for address in ALL}
    (homes[ALL[1]] / ".forward").write_text("bob@elsewhere.example, \\bob\n")
    for name, target in (("away", "ann@elsewhere.example"), ("colleague", ALL[0])):
        for address in (ALL[0], ALL[2]):
            scripts = homes[address] / "sieve"
            scripts.mkdir(exist_ok=True)
            (scripts / f"{name}.sieve").write_text(f'redirect "{target}";\n')
    (homes[ALL[2]] / ".dovecot.sieve").symlink_to("sieve/colleague.sieve")
    pattern = f"{house.tree.base}/{{address}}"
    return await restarted(house, f'homes = "{pattern}"\ndomains = ["example.org"]')


async def ask(house: EmailHouse, method: str, request: Message, who: str = "ann") -> Any:  # noqa: ANN401 - its answer
    """Ask the service as somebody."""
    async with house.channel(who) as channel:
        return await getattr(mailbox_service_pb2_grpc.MailboxServiceStub(channel), method)(request, timeout=30)


async def listed(house: EmailHouse, condition: str = "") -> list[mailbox_pb2.Mailbox]:
    """Return what is listed, for somebody who may only look."""
    return list((await ask(house, "ListMailboxes", List(filter=condition), "carol")).mailboxes)


async def test_who_forwards_outside_now(sending: EmailHouse) -> None:
    """One mailbox, with where and by what; when it ends, nobody: it is looked up, not remembered."""
    (bob,) = await listed(sending, OUTSIDE)
    assert bob.name == f"mailboxes/{ALL[1]}"
    assert [(one.address, one.external, one.place) for one in bob.forwardings] == [
        ("bob@elsewhere.example", True, ".forward")
    ]
    assert bob.forwardings[0].mechanism == forwarding_pb2.FORWARDING_MECHANISM_FILE
    inside = await listed(sending, "forwardings.external = false")
    assert [(each.name, [one.address for one in each.forwardings]) for each in inside] == [
        (f"mailboxes/{ALL[0]}", []),
        (f"mailboxes/{ALL[2]}", [ALL[0]]),
    ]
    (sending.tree.base / ALL[1] / ".forward").unlink()
    assert await listed(sending, OUTSIDE) == []


async def test_mailboxes_are_counted_as_their_users_see_them(house: EmailHouse) -> None:
    """All folders, with their bytes; what we hold is not among it. By any spelling of the address."""
    house.tree.deliver(ALL[0], CAMPAIGN, folder="Sent", base="3.sent")
    found = (await ask(house, "GetMailbox", Get(name="mailboxes/Ann@Example.org"))).mailbox
    size = len(ordinary(0)) + 2 * len(CAMPAIGN)
    assert found == mailbox_pb2.Mailbox(name=f"mailboxes/{ALL[0]}", message_count=3, size_bytes=size)
    hold = house.tree.root(ALL[0]).parent / ".quell-Maildir"
    hold.mkdir(mode=0o700)
    (hold / f"{'0' * 64}.1.0").write_bytes(CAMPAIGN)
    assert (await ask(house, "GetMailbox", Get(name=f"mailboxes/{ALL[0]}"))).mailbox == found


async def test_a_list_comes_in_pages(house: EmailHouse) -> None:
    """In order of address, each after the one before, to its end; a token counts for its own list."""
    first = await ask(house, "ListMailboxes", List(page_size=2))
    second = await ask(house, "ListMailboxes", List(page_size=2, page_token=first.next_page_token))
    assert [each.name for each in (*first.mailboxes, *second.mailboxes)] == [f"mailboxes/{one}" for one in ALL]
    assert second.next_page_token == ""
    named = await listed(house, f'name > "mailboxes/{ALL[0]}" AND name < "{ALL[2]}"')
    assert [each.name for each in named] == [f"mailboxes/{ALL[1]}"]


PROVOKED: set[tuple[str, str, str]] = set()


async def refused(house: EmailHouse, request: Message, code: Code, reason: str, who: str = "ann") -> None:
    """Hold that a request is refused like this."""
    method = type(request).__name__.removesuffix("Request")
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await ask(house, method, request, who)
    found = problem(refusal.value)
    assert (found.code, found.reason) == (code, reason)
    if who == "ann" and reason != "FIELD_INVALID":
        PROVOKED.add((method, code.name, reason))


@pytest.fixture
async def away(house: EmailHouse) -> EmailHouse:
    """Have a server of scripts that does not answer."""
    at = f'address = "127.0.0.1:{free_ports(1)}"\ntls = "none"\nmaster_user = "exec"'
    # Any file that nobody else can read serves as one with a password.
    server = f'[managesieve]\n{at}\nmaster_password = "{house.config.parent / "identity.pem"}"'
    return await restarted(house, 'domains = ["example.org"]', server)


async def test_every_refusal_that_is_promised(house: EmailHouse) -> None:
    """And no other, where nobody has told how scripts are reached."""
    first = await ask(house, "ListMailboxes", List(page_size=1))
    assert not first.mailboxes[0].forwardings_known
    other = List(page_token=first.next_page_token, filter='name > "b"')
    await refused(house, List(filter="colour = red"), Code.INVALID_ARGUMENT, "FILTER_INVALID")
    await refused(house, List(filter="forwardings.external = yes"), Code.INVALID_ARGUMENT, "FILTER_INVALID")
    await refused(house, List(page_token=NONSENSE), Code.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")
    await refused(house, other, Code.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")
    await refused(house, List(filter=OUTSIDE), Code.FAILED_PRECONDITION, "FORWARDINGS_UNKNOWN")
    await refused(house, List(page_size=-1), Code.INVALID_ARGUMENT, "FIELD_INVALID")
    await refused(house, Get(name="mailboxes/nobody@example.org"), Code.NOT_FOUND, "MAILBOX_UNKNOWN")
    await refused(house, List(), Code.PERMISSION_DENIED, "NOT_PERMITTED", "xdr")


async def test_a_server_that_is_away_is_said_to_be(away: EmailHouse) -> None:
    """Nobody is told that nobody forwards."""
    await refused(away, List(filter=OUTSIDE), Code.UNAVAILABLE, "BACKEND_AWAY")
    await refused(away, Get(name=f"mailboxes/{ALL[0]}"), Code.UNAVAILABLE, "BACKEND_AWAY")
    assert {each for each in promised("email/v1") if each[0] in ("ListMailboxes", "GetMailbox")} == PROVOKED
