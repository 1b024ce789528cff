"""Actions: see, preview, decide, cancel, take back, try again."""

import hashlib
import uuid
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import click
from quell.actioncenter.v1 import (
    action_event_pb2,
    action_pb2,
    action_service_pb2,
    action_service_pb2_grpc,
)
from quell.remediation.v1 import item_pb2

from quell_cli import lookup, show
from quell_cli.connection import Connection
from quell_cli.session import TIMEOUT, Session, one_line

PENDING = "state = PENDING_APPROVAL"
HELD = "state = HELD"
UNFINISHED = action_pb2.ACTION_STATE_RUNNING
WELL = {action_pb2.ACTION_STATE_SUCCEEDED, action_pb2.ACTION_STATE_NOT_NEEDED}
Stub: TypeAlias = "action_service_pb2_grpc.ActionServiceAsyncStub"


def _stub(connection: Connection) -> Stub:
    return connection.stub("actioncenter", action_service_pb2_grpc.ActionServiceStub)


@click.group()
def actions() -> None:
    """See, preview, decide, cancel, undo and retry actions. An ACTION is an id or its first digits."""


@actions.command("list")
@click.option("--all", "everything", is_flag=True, help="Past ones too, not only those that wait for people.")
@click.option("--filter", "condition", default="", help='As "state = FAILED AND kind = block_url".')
@click.option("--limit", default=50, show_default=True, help="At most this many.")
@click.pass_obj
def list_actions(session: Session, condition: str, limit: int, *, everything: bool) -> None:
    """List actions; by default those that wait for people."""

    async def work(connection: Connection) -> list[action_pb2.Action]:
        conditions = [condition] if condition or everything else [PENDING, HELD]
        found: list[action_pb2.Action] = []
        for each in conditions:
            request = action_service_pb2.ListActionsRequest(filter=each, page_size=limit)
            found += (await _stub(connection).ListActions(request, timeout=TIMEOUT)).actions
        return found[:limit]

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
        stub = _stub(connection)
        items = await stub.ListActionItems(action_service_pb2.ListActionItemsRequest(name=found.name), timeout=TIMEOUT)
        events = await stub.ListActionEvents(
            action_service_pb2.ListActionEventsRequest(name=found.name), timeout=TIMEOUT
        )
        return found, list(items.items), list(events.events)

    found, items, events = session.call(work)
    session.show([found, *items, *events], lambda: _details(session, found, items, events))


def _details(
    session: Session,
    found: action_pb2.Action,
    items: list[item_pb2.ItemOutcome],
    events: list[action_event_pb2.ActionEvent],
) -> None:
    click.echo(f"{found.name}\n{show.what(found)} {show.target(found.remediation)}: {show.state(found)}")
    if found.HasField("outcome"):
        click.echo(show.outcome(found.outcome))
    for name in ("undo_of", "undone_by", "retry_of", "delta_of", "superseded_by"):
        if value := getattr(found, name):
            click.echo(f"{name}: {value}")
    if items:
        states = item_pb2.ItemState
        session.table(
            ("item", "state"), [(show.item(i.item), states.Name(i.state).removeprefix("ITEM_STATE_")) for i in items]
        )
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
        async for answer in _stub(connection).WatchActions(request):
            each = answer.action
            if session.as_json:
                click.echo(one_line(each))
                continue
            when = show.time(each.update_time, utc=session.utc)
            told = f"{show.short(each.name)}  {show.what(each)}  {show.target(each.remediation)}"
            click.echo(f"{when}  {told}: {show.state(each)}")

    session.call(work)


@actions.command()
@click.argument("action")
@click.option("--undo", is_flag=True, help="What undoing it would do.")
@click.pass_obj
def preview(session: Session, action: str, *, undo: bool) -> None:
    """Show what an action would do, and the digest that an approval of it binds."""

    async def work(connection: Connection) -> action_service_pb2.PreviewActionResponse:
        return await _preview(connection, await lookup.action(connection, action), undo=undo)

    found = session.call(work)
    session.show([found], lambda: _preview_of(found))


async def _preview(
    connection: Connection, found: action_pb2.Action, *, undo: bool = False
) -> action_service_pb2.PreviewActionResponse:
    request = action_service_pb2.PreviewActionRequest()
    setattr(request, "undo_of" if undo else "name", found.name)
    return await _stub(connection).PreviewAction(request, timeout=TIMEOUT)


def _preview_of(found: action_service_pb2.PreviewActionResponse) -> None:
    # Made from the bytes that are approved, as whoever shows a preview to people should.
    digest = hashlib.sha256(found.preview).hexdigest()
    click.echo(f"digest {digest}\n{found.item_count} items")
    for item in found.items:
        click.echo(f"  {show.item(item)}")
    for note in found.notes:
        click.echo(f"  note: {note}")
    if found.not_restored:
        click.echo(f"undo can't bring back: {', '.join(found.not_restored)}")
    if found.approval_need.missing_votes:
        need = found.approval_need
        click.echo(f"needs {need.missing_votes} approval(s) with {need.permission}: {'; '.join(need.reasons)}")


why_option = click.option("--comment", "-m", required=True, help="Why.")
wait_option = click.option("--wait", is_flag=True, help="Wait for its end; exit code 1 if it is not as asked.")


@actions.command()
@click.argument("action")
@click.option("--digest", default="", help="Digest of the preview that you saw; without it one is shown and asked for.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@why_option
@wait_option
@click.pass_obj
def approve(session: Session, action: str, comment: str, digest: str, *, yes: bool, wait: bool) -> None:
    """Approve an action, bound to the preview that you saw."""
    vote = str(uuid.uuid4())

    async def work(connection: Connection) -> action_pb2.Action:
        found = await lookup.action(connection, action)
        seen = digest or _seen(session, await _preview(connection, found), yes=yes)
        request = action_service_pb2.ApproveActionRequest(
            name=found.name, vote_id=vote, comment=comment, preview_digest=seen
        )
        answer = await _stub(connection).ApproveAction(request, timeout=TIMEOUT)
        return await _until_end(connection, answer.action) if wait else answer.action

    _answer(session, session.call(work), wait=wait)


def _seen(session: Session, found: action_service_pb2.PreviewActionResponse, *, yes: bool) -> str:
    if not session.as_json:
        _preview_of(found)
    if not yes:
        click.confirm("Approve exactly this?", abort=True, err=True)
    return hashlib.sha256(found.preview).hexdigest()


@actions.command()
@click.argument("action")
@why_option
@click.pass_obj
def reject(session: Session, action: str, comment: str) -> None:
    """Reject an action; it ends."""
    vote = str(uuid.uuid4())

    async def work(connection: Connection) -> action_pb2.Action:
        found = await lookup.action(connection, action)
        request = action_service_pb2.RejectActionRequest(
            name=found.name, vote_id=vote, comment=comment, etag=found.etag
        )
        return (await _stub(connection).RejectAction(request, timeout=TIMEOUT)).action

    _answer(session, session.call(work), wait=False)


def _simple(
    session: Session, action: str, ask: Callable[[Stub, str], Awaitable[action_pb2.Action]], *, wait: bool = False
) -> None:
    async def work(connection: Connection) -> action_pb2.Action:
        found = await lookup.action(connection, action)
        answer = await ask(_stub(connection), found.name)
        return await _until_end(connection, answer) if wait else answer

    _answer(session, session.call(work), wait=wait)


@actions.command()
@click.argument("action")
@why_option
@click.pass_obj
def cancel(session: Session, action: str, comment: str) -> None:
    """Call an action off, or stop it half-way if it has begun."""

    async def ask(stub: Stub, name: str) -> action_pb2.Action:
        request = action_service_pb2.CancelActionRequest(name=name, comment=comment)
        return (await stub.CancelAction(request, timeout=TIMEOUT)).action

    _simple(session, action, ask)


@actions.command()
@click.argument("action")
@why_option
@wait_option
@click.pass_obj
def undo(session: Session, action: str, comment: str, *, wait: bool) -> None:
    """Take back what an action did; it is an action of its own."""
    new = str(uuid.uuid4())

    async def ask(stub: Stub, name: str) -> action_pb2.Action:
        request = action_service_pb2.UndoActionRequest(name=name, undo_id=new, comment=comment)
        return (await stub.UndoAction(request, timeout=TIMEOUT)).action

    _simple(session, action, ask, wait=wait)


@actions.command()
@click.argument("action")
@why_option
@wait_option
@click.pass_obj
def retry(session: Session, action: str, comment: str, *, wait: bool) -> None:
    """Ask for the same once more; it is decided anew."""
    new = str(uuid.uuid4())

    async def ask(stub: Stub, name: str) -> action_pb2.Action:
        request = action_service_pb2.RetryActionRequest(name=name, retry_id=new, comment=comment)
        return (await stub.RetryAction(request, timeout=TIMEOUT)).action

    _simple(session, action, ask, wait=wait)


async def _until_end(connection: Connection, action: action_pb2.Action) -> action_pb2.Action:
    request = action_service_pb2.WatchActionsRequest(filter=f'name = "{action.name}"')
    async for answer in _stub(connection).WatchActions(request):
        if answer.action.state > UNFINISHED:
            return answer.action
    return action


def _answer(session: Session, found: action_pb2.Action, *, wait: bool) -> None:
    """Print what became of an action; after waiting, exit with 1 unless it ended as asked."""
    session.show([found], lambda: click.echo(f"{show.short(found.name)}  {show.what(found)}: {show.state(found)}"))
    if wait and found.state not in WELL:
        raise SystemExit(1)


@click.command()
@click.argument("action")
@click.pass_obj
def why(session: Session, action: str) -> None:
    """Tell why an action exists and who let it happen."""

    async def work(connection: Connection) -> action_pb2.Action:
        return await lookup.action(connection, action)

    found = session.call(work)
    session.show([found], lambda: _reasons(session, found))


def _reasons(session: Session, found: action_pb2.Action) -> None:
    click.echo(f"{show.what(found)} {show.target(found.remediation)}: {show.state(found)}")
    origin = found.origin
    if origin.WhichOneof("source") == "policy":
        click.echo(
            f"derived by rule {origin.policy.rule} of {origin.policy.policy} from {', '.join(origin.policy.evidence)}"
        )
    else:
        asked = f"asked for by {origin.request.actor}"
        click.echo(
            asked + (f" through {origin.request.via}" if origin.request.via else "") + f": {origin.request.comment}"
        )
    if origin.investigation:
        click.echo(f"belongs to {origin.investigation}")
    if found.resolved_by:
        click.echo(f"its device was found by the host name {found.resolved_by}")
    for vote in found.votes:
        answer = action_pb2.Answer.Name(vote.answer).removeprefix("ANSWER_").lower()
        click.echo(f"{show.time(vote.time, utc=session.utc)} {vote.actor}: {answer}: {vote.comment}")
    if found.approval_need.missing_votes:
        need = found.approval_need
        click.echo(f"waits for {need.missing_votes} approval(s) with {need.permission}: {'; '.join(need.reasons)}")
    if found.HasField("decision"):
        kind = action_pb2.DecisionKind.Name(found.decision.kind).removeprefix("DECISION_KIND_").lower()
        click.echo(f"{kind} {show.time(found.decision.time, utc=session.utc)} by rule {found.decision.rule or '-'}")
