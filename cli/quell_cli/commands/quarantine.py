"""Messages in quarantine."""

import click
from quell.email.v1 import quarantine_service_pb2, quarantine_service_pb2_grpc, quarantined_message_pb2

from quell_cli import lookup, show
from quell_cli.connection import Connection
from quell_cli.pages import pages
from quell_cli.session import TIMEOUT, Session, say


@click.group()
def quarantine() -> None:
    """See what is in quarantine, and what it says, safely. A MESSAGE is an id or its first digits.

    Out of it leads `quell act release-messages`, as an undo does; who may not release asks so for somebody's approval.
    """


@quarantine.command("list")
@click.option("--filter", "condition", default="", help='As "state = HELD AND mailbox = mailboxes/ann@example.org".')
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="At most this many.")
@click.pass_obj
def list_messages(session: Session, condition: str, limit: int) -> None:
    """List what is, or was, in quarantine, newest first."""

    async def work(connection: Connection) -> list[quarantined_message_pb2.QuarantinedMessage]:
        stub = connection.stub("email", quarantine_service_pb2_grpc.QuarantineServiceStub)
        request = quarantine_service_pb2.ListQuarantinedMessagesRequest(filter=condition)
        return await pages(stub.ListQuarantinedMessages, request, "messages", limit)

    found = session.call(work)
    rows = [
        (
            show.short(each.name),
            each.message.mailbox.removeprefix("mailboxes/"),
            _state(each),
            ", ".join(each.senders),
            each.message.subject,
            show.short(each.action),
            show.time(each.take_time, utc=session.utc),
            show.time(each.end_time if each.HasField("end_time") else each.purge_time, utc=session.utc),
        )
        for each in found
    ]
    columns = ("message", "mailbox", "state", "from", "subject", "action", "since", "until")
    session.show(found, lambda: session.table(columns, rows))


@quarantine.command()
@click.argument("message")
@click.option("--reason", "--comment", "-m", "reason", required=True, help="Why; it stands in the audit log.")
@click.pass_obj
def view(session: Session, message: str, reason: str) -> None:
    """Show a message's headers and text. Nothing in it can be clicked, and nothing is fetched."""

    async def work(connection: Connection) -> quarantine_service_pb2.ViewQuarantinedMessageResponse:
        name = await lookup.quarantined_message(connection, message)
        stub = connection.stub("email", quarantine_service_pb2_grpc.QuarantineServiceStub)
        request = quarantine_service_pb2.ViewQuarantinedMessageRequest(name=name, comment=reason)
        return await stub.ViewQuarantinedMessage(request, timeout=TIMEOUT)

    found = session.call(work)
    session.show([found], lambda: _tell(found))


def _state(found: quarantined_message_pb2.QuarantinedMessage) -> str:
    return quarantined_message_pb2.QuarantineState.Name(found.state).removeprefix("QUARANTINE_STATE_")


def _tell(found: quarantine_service_pb2.ViewQuarantinedMessageResponse) -> None:
    say(*(f"{header.name}: {header.value}" for header in found.view.headers), "")
    say(*found.view.text.split("\n"))
    if found.view.cut:
        say("[there is more text]")
    for part in found.view.parts:
        said = part.file_name or "without a name"
        say(f"[{said}: {part.content_type}, {part.size_bytes:,} bytes, SHA-256 {part.sha256}]")
