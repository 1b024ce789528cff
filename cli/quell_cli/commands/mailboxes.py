"""Mailboxes, and where they send their mail on to."""

import click
from quell.email.v1 import mailbox_pb2, mailbox_service_pb2, mailbox_service_pb2_grpc
from quell.remediation.v1 import forwarding_pb2

from quell_cli.connection import Connection
from quell_cli.pages import pages
from quell_cli.session import TIMEOUT, Session, say

OUTSIDE = "forwardings.external = true"


@click.group()
def mailboxes() -> None:
    """See mailboxes, and who sends mail on to the outside now. A MAILBOX is an address."""


@mailboxes.command("list")
@click.option("--forwarding", is_flag=True, help="Only those that send mail on to the outside.")
@click.option("--filter", "condition", default="", help='As "name = ann@example.org".')
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="At most this many.")
@click.pass_obj
def list_mailboxes(session: Session, *, forwarding: bool, condition: str, limit: int) -> None:
    """List mailboxes as the mail server has them now."""

    async def work(connection: Connection) -> list[mailbox_pb2.Mailbox]:
        stub = connection.stub("email", mailbox_service_pb2_grpc.MailboxServiceStub)
        asked = " AND ".join(filter(None, (condition, OUTSIDE if forwarding else "")))
        return await pages(
            stub.ListMailboxes, mailbox_service_pb2.ListMailboxesRequest(filter=asked), "mailboxes", limit
        )

    found = session.call(work)
    rows = [
        (
            each.name.removeprefix("mailboxes/"),
            f"{each.message_count:,}",
            f"{each.size_bytes:,}",
            _sent_on(each),
        )
        for each in found
    ]
    session.show(found, lambda: session.table(("mailbox", "messages", "bytes", "sends mail on to"), rows))


@mailboxes.command("show")
@click.argument("mailbox")
@click.pass_obj
def show_mailbox(session: Session, mailbox: str) -> None:
    """Show one mailbox, and everything that sends its mail on."""

    async def work(connection: Connection) -> mailbox_pb2.Mailbox:
        stub = connection.stub("email", mailbox_service_pb2_grpc.MailboxServiceStub)
        name = f"mailboxes/{mailbox.removeprefix('mailboxes/')}"
        return (await stub.GetMailbox(mailbox_service_pb2.GetMailboxRequest(name=name), timeout=TIMEOUT)).mailbox

    found = session.call(work)
    session.show([found], lambda: _tell(session, found))


def _tell(session: Session, found: mailbox_pb2.Mailbox) -> None:
    say(f"{found.name}: {found.message_count:,} messages, {found.size_bytes:,} bytes")
    if not found.forwardings:
        say(_sent_on(found))
        return
    rows = [
        (
            each.address or "nobody can tell",
            "outside" if each.external else "inside",
            forwarding_pb2.ForwardingMechanism.Name(each.mechanism).removeprefix("FORWARDING_MECHANISM_"),
            each.place,
        )
        for each in found.forwardings
    ]
    session.table(("sends mail on to", "which is", "by", "in"), rows)


def _sent_on(found: mailbox_pb2.Mailbox) -> str:
    """Return where a mailbox sends its mail on to, outside marked."""
    if not found.forwardings_known:
        return "not known here"
    told = (f"{one.address or '?'}{' (outside)' if one.external else ''}" for one in found.forwardings)
    return ", ".join(told) or "nobody"
