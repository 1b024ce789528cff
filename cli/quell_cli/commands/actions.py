"""Actions: see what there is, what it would do, and why."""

import click
from quell.actioncenter.v1 import action_event_pb2, action_pb2, action_service_pb2
from quell.remediation.v1 import item_pb2

from quell_cli import lookup, show
from quell_cli.commands.deciding import DECIDING, preview_of, show_preview, stub_of
from quell_cli.connection import Connection
from quell_cli.following import following
from quell_cli.pages import pages
from quell_cli.session import Session, one_line, say

WAITING = ("state = PENDING_APPROVAL", "state = HELD")


@click.group()
def actions() -> None:
    """See, preview, decide, cancel, undo and retry actions. An ACTION is an id or its first digits."""


for command in DECIDING:
    actions.add_command(command)


@actions.command("list")
@click.option("--all", "everything", is_flag=True, help="Past ones too, not only those that wait for people.")
@click.option("--filter", "condition", default="", help='As "state = FAILED AND kind = block_url".')
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="At most this many.")
@click.pass_obj
def list_actions(session: Session, condition: str, limit: int, *, everything: bool) -> None:
    """List actions; by default those that wait for people."""

    async def work(connection: Connection) -> list[action_pb2.Action]:
        found: list[action_pb2.Action] = []
        for each in [condition] if condition or everything else WAITING:
            request = action_service_pb2.ListActionsRequest(filter=each)
            found += await pages(stub_of(connection).ListActions, request, "actions", limit)
        return found

    found = session.call(work)
    session.show(found, lambda: _table(session, found))


def _table(session: Session, found: list[action_pb2.Action]) -> None:
    rows = [
        (
            show.short(each.name),
            show.what(each),
            show.target(each.remediation),
            show.state(each),
            show.time(each.create_time, utc=session.utc),
        )
        for each in found
    ]
    session.table(("action", "what", "target", "state", "asked for"), rows)


@actions.command("show")
@click.argument("action")
@click.pass_obj
def show_action(session: Session, action: str) -> None:
    """Show one action with its items and its history."""

    async def work(
        connection: Connection,
    ) -> tuple[action_pb2.Action, list[item_pb2.ItemOutcome], list[action_event_pb2.ActionEvent]]:
        found = await lookup.action(connection, action)
        stub = stub_of(connection)
        items = await pages(stub.ListActionItems, action_service_pb2.ListActionItemsRequest(name=found.name), "items")
        request = action_service_pb2.ListActionEventsRequest(name=found.name)
        return found, items, await pages(stub.ListActionEvents, request, "events")

    found, items, events = session.call(work)
    session.show([found, *items, *events], lambda: _details(session, found, items, events))


def _details(
    session: Session,
    found: action_pb2.Action,
    items: list[item_pb2.ItemOutcome],
    events: list[action_event_pb2.ActionEvent],
) -> None:
    say(found.name, f"{show.what(found)} {show.target(found.remediation)}: {show.state(found)}")
    if found.failure.reason:
        say(f"{found.failure.reason}: {found.failure.message}")
    if found.HasField("outcome"):
        say(show.outcome(found.outcome))
    for name in ("undo_of", "undone_by", "retry_of", "delta_of", "superseded_by"):
        if value := getattr(found, name):
            say(f"{name}: {value}")
    if items:
        session.table(("item", "state"), [(show.item(each.item), show.item_state(each)) for each in items])
    session.table(
        ("when", "who", "event", "why"),
        [(show.time(each.time, utc=session.utc), each.actor, each.event, each.comment) for each in events],
    )


@actions.command()
@click.option("--filter", "condition", default="", help="Only those that match.")
@click.pass_obj
def watch(session: Session, condition: str) -> None:
    """Watch actions as they change, until Ctrl-C."""

    async def work(connection: Connection) -> None:
        request = action_service_pb2.WatchActionsRequest(filter=condition)
        async for answer in following(stub_of(connection).WatchActions, request):
            each = answer.action
            if session.as_json:
                click.echo(one_line(each))
                continue
            when = show.time(each.update_time, utc=session.utc)
            told = f"{show.short(each.name)}  {show.what(each)}  {show.target(each.remediation)}"
            say(f"{when}  {told}: {show.state(each)}")

    session.call(work)


@actions.command()
@click.argument("action")
@click.option("--undo", is_flag=True, help="What undoing it would do.")
@click.pass_obj
def preview(session: Session, action: str, *, undo: bool) -> None:
    """Show what an action would do, and the digest that an approval of it binds."""

    async def work(connection: Connection) -> action_service_pb2.PreviewActionResponse:
        return await preview_of(connection, await lookup.action(connection, action), undo=undo)

    found = session.call(work)
    session.show([found], lambda: show_preview(found))


@click.command()
@click.argument("action")
@click.pass_obj
def why(session: Session, action: str) -> None:
    """Tell why an action exists and who let it happen."""

    async def work(connection: Connection) -> action_pb2.Action:
        return await lookup.action(connection, action)

    found = session.call(work)
    session.show([found], lambda: say(*_reasons(session, found)))


def _reasons(session: Session, found: action_pb2.Action) -> list[str]:
    told = [f"{show.what(found)} {show.target(found.remediation)}: {show.state(found)}", _origin(found.origin)]
    if found.origin.investigation:
        told.append(f"belongs to {found.origin.investigation}")
    if found.resolved_by:
        told.append(f"its device was found by the host name {found.resolved_by}")
    for vote in found.votes:
        answer = action_pb2.Answer.Name(vote.answer).removeprefix("ANSWER_").lower()
        told.append(f"{show.time(vote.time, utc=session.utc)} {vote.actor}: {answer}: {vote.comment}")
    if found.approval_need.missing_votes:
        told.append(show.need(found.approval_need))
    if found.HasField("decision"):
        kind = action_pb2.DecisionKind.Name(found.decision.kind).removeprefix("DECISION_KIND_").lower()
        by = f" by rule {found.decision.rule}" if found.decision.rule else ""
        told.append(f"{kind} {show.time(found.decision.time, utc=session.utc)}{by}, under {found.decision.policy}")
    return told


def _origin(origin: action_pb2.Origin) -> str:
    if origin.WhichOneof("source") == "policy":
        policy = origin.policy
        return f"derived by rule {policy.rule} of {policy.policy} from {', '.join(policy.evidence)}"
    through = f" through {origin.request.via}" if origin.request.via else ""
    return f"asked for by {origin.request.actor}{through}: {origin.request.comment}"
