"""What people do to actions: ask, decide, call off, take back, try again."""

import hashlib
import sys
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import click
from google.protobuf.json_format import Parse, ParseError
from google.protobuf.timestamp_pb2 import Timestamp
from quell.actioncenter.v1 import action_pb2, action_service_pb2, action_service_pb2_grpc
from quell.remediation.v1 import remediation_pb2

from quell_cli import lookup, own_key, show
from quell_cli.connection import Connection
from quell_cli.following import following
from quell_cli.session import TIMEOUT, Session, say

UNFINISHED = action_pb2.ACTION_STATE_RUNNING
WELL = {action_pb2.ACTION_STATE_SUCCEEDED, action_pb2.ACTION_STATE_NOT_NEEDED}
SEALED_FOR = timedelta(days=14)
"""How long an approval under an own key counts: an action whose target is away may begin as late as that."""
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
Stub: TypeAlias = "action_service_pb2_grpc.ActionServiceAsyncStub"
Ask: TypeAlias = Callable[
    ["action_service_pb2_grpc.ActionServiceAsyncStub", action_pb2.Action], Awaitable[action_pb2.Action]
]

why_option = click.option("--comment", "-m", required=True, help="Why.")
wait_option = click.option("--wait", is_flag=True, help="Wait for its end; exit code 1 if it is not as asked.")


def stub_of(connection: Connection) -> Stub:
    """Return the stub of ActionService."""
    return connection.stub("actioncenter", action_service_pb2_grpc.ActionServiceStub)


class Duration(click.ParamType[timedelta]):
    """A number and a unit."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read it."""
        text = str(value)
        if text[-1:] not in UNITS or not text[:-1].isdecimal():
            self.fail("a duration is a number and a unit: 90s, 15m, 12h, 7d", param, ctx)
        try:
            return timedelta(seconds=int(text[:-1]) * UNITS[text[-1]])
        except OverflowError:
            self.fail("that is for ever: leave it out", param, ctx)


revert_option = click.option(
    "--revert-after", type=Duration(), help="Take it back by itself after this time: 90s, 15m, 12h, 7d."
)

case_option = click.option("--investigation", default="", help="It belongs to this one: an id or its first characters.")


@dataclass(frozen=True, slots=True)
class Wish:
    """What stands beside a remediation that is asked for by hand. `investigation` as typed, empty: none."""

    comment: str
    revert_after: timedelta | None = None
    investigation: str = ""


@click.command()
@click.argument("remediation", metavar="JSON|FILE|-")
@why_option
@revert_option
@case_option
@wait_option
@click.pass_obj
def ask(session: Session, /, remediation: str, *, wait: bool, **beside: Any) -> None:  # noqa: ANN401 - what click gives
    """Ask for an action by hand: a Remediation as JSON, or a file of it.

    For example: quell actions ask '{"block_url": {"pattern": "*.evil.test"}}' -m "seen in the wild"
    """
    asked = _remediation(remediation)

    async def as_given(_connection: Connection) -> remediation_pb2.Remediation:
        return asked

    requested(session, as_given, Wish(**beside), wait=wait)


def requested(
    session: Session,
    remediation: Callable[[Connection], Awaitable[remediation_pb2.Remediation]],
    wish: Wish,
    *,
    wait: bool,
) -> None:
    """Ask for an action, and print what became of it."""
    request = action_service_pb2.CreateActionRequest(action_id=str(uuid.uuid4()), comment=wish.comment)
    if wish.revert_after:
        request.revert_time.CopyFrom(_after(wish.revert_after))

    async def work(connection: Connection) -> action_pb2.Action:
        if wish.investigation:
            request.investigation = await lookup.investigation(connection, wish.investigation)
        request.remediation.CopyFrom(await remediation(connection))
        answer = await stub_of(connection).CreateAction(request, timeout=TIMEOUT)
        return await _until_end(connection, answer.action) if wait else answer.action

    _answer(session, session.call(work), wait=wait)


def _remediation(given: str) -> remediation_pb2.Remediation:
    try:
        text = given if given.lstrip().startswith("{") else _content(given)
        found: remediation_pb2.Remediation = Parse(text, remediation_pb2.Remediation())
    except OSError as error:
        raise click.UsageError(f"{given} can't be read: {error.strerror}") from None
    except (ParseError, UnicodeDecodeError) as error:
        raise click.UsageError(f"that is no Remediation in JSON: {str(error).partition(chr(10))[0]}") from None
    if not found.WhichOneof("kind"):
        raise click.UsageError('a Remediation has one kind: {"block_url": {"pattern": "*.evil.test"}}')
    return found


def _content(path: str) -> str:
    with click.open_file(path, encoding="utf-8") as file:
        content: str = file.read()
    return content


def _after(duration: timedelta) -> Timestamp:
    found = Timestamp()
    try:
        found.FromDatetime(datetime.now(UTC) + duration)
    except OverflowError:
        raise click.UsageError("--revert-after is for ever: leave it out") from None
    return found


async def preview_of(
    connection: Connection, found: action_pb2.Action, *, undo: bool = False
) -> action_service_pb2.PreviewActionResponse:
    """Ask what an action, or its undo, would do."""
    request = action_service_pb2.PreviewActionRequest()
    setattr(request, "undo_of" if undo else "name", found.name)
    return await stub_of(connection).PreviewAction(request, timeout=TIMEOUT)


def show_preview(found: action_service_pb2.PreviewActionResponse) -> None:
    """Print a preview."""
    # Made from the bytes that are approved, as whoever shows a preview to people should.
    digest = hashlib.sha256(found.preview).hexdigest()
    say(f"digest {digest}", f"{found.item_count} item(s)")
    say(*(f"  {show.item(item)}" for item in found.items), *(f"  note: {note}" for note in found.notes))
    if found.not_restored:
        say(f"undo can't bring back: {', '.join(found.not_restored)}")
    if found.approval_need.missing_votes:
        say(show.need(found.approval_need))


@click.command()
@click.argument("action")
@click.option("--digest", default="", help="Digest of the preview that you saw; without it one is shown and asked for.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@why_option
@wait_option
@click.pass_obj
def approve(session: Session, action: str, comment: str, digest: str, *, yes: bool, wait: bool) -> None:
    """Approve an action, bound to the preview that you saw; sealed with your own key, if you have one."""
    if session.as_json and not digest and not yes:
        raise click.UsageError("with --json nobody sees a preview: give --digest of one, or --yes")
    vote = str(uuid.uuid4())

    async def ask_for(stub: Stub, found: action_pb2.Action) -> action_pb2.Action:
        request = action_service_pb2.ApproveActionRequest(name=found.name, vote_id=vote, comment=comment)
        if own := own_key.of(session.connection().profile, session.person):
            now = own_key.now()
            request.approval.CopyFrom(own.approval(_digest(digest), now, now + SEALED_FOR))
        else:
            request.preview_digest = digest
        return (await stub.ApproveAction(request, timeout=TIMEOUT)).action

    if not digest:
        action, digest = session.call(lambda connection: _seen(connection, action, show_it=not session.as_json))
        if not yes:
            click.confirm("Approve exactly this?", abort=True, err=True)
    _do(session, action, ask_for, wait=wait)


def _digest(text: str) -> bytes:
    if len(text) != 2 * hashlib.sha256().digest_size or not set(text) <= set("0123456789abcdef"):
        raise click.UsageError("--digest is 64 hexadecimal digits, as quell actions preview prints them")
    return bytes.fromhex(text)


async def _seen(connection: Connection, typed: str, *, show_it: bool) -> tuple[str, str]:
    """Preview an action, and return its name and the preview's digest."""
    action = await lookup.action(connection, typed)
    found = await preview_of(connection, action)
    if show_it:
        show_preview(found)
    return action.name, hashlib.sha256(found.preview).hexdigest()


@click.command()
@click.argument("action")
@why_option
@click.pass_obj
def reject(session: Session, action: str, comment: str) -> None:
    """Reject an action; it ends."""
    vote = str(uuid.uuid4())

    async def ask_for(stub: Stub, found: action_pb2.Action) -> action_pb2.Action:
        request = action_service_pb2.RejectActionRequest(
            name=found.name, vote_id=vote, comment=comment, etag=found.etag
        )
        return (await stub.RejectAction(request, timeout=TIMEOUT)).action

    _do(session, action, ask_for)


@click.command()
@click.argument("action")
@why_option
@wait_option
@click.pass_obj
def cancel(session: Session, action: str, comment: str, *, wait: bool) -> None:
    """Call an action off, or stop it half-way if it has begun."""

    async def ask_for(stub: Stub, found: action_pb2.Action) -> action_pb2.Action:
        request = action_service_pb2.CancelActionRequest(name=found.name, comment=comment)
        return (await stub.CancelAction(request, timeout=TIMEOUT)).action

    _do(session, action, ask_for, wait=wait, well={action_pb2.ACTION_STATE_CANCELED})


@click.command()
@click.argument("action")
@why_option
@wait_option
@click.pass_obj
def undo(session: Session, action: str, comment: str, *, wait: bool) -> None:
    """Take back what an action did; it is an action of its own."""
    new = str(uuid.uuid4())

    async def ask_for(stub: Stub, found: action_pb2.Action) -> action_pb2.Action:
        request = action_service_pb2.UndoActionRequest(name=found.name, undo_id=new, comment=comment)
        return (await stub.UndoAction(request, timeout=TIMEOUT)).action

    _do(session, action, ask_for, wait=wait)


@click.command()
@click.argument("action")
@why_option
@wait_option
@click.pass_obj
def retry(session: Session, action: str, comment: str, *, wait: bool) -> None:
    """Ask for the same once more; it is decided anew."""
    new = str(uuid.uuid4())

    async def ask_for(stub: Stub, found: action_pb2.Action) -> action_pb2.Action:
        request = action_service_pb2.RetryActionRequest(name=found.name, retry_id=new, comment=comment)
        return (await stub.RetryAction(request, timeout=TIMEOUT)).action

    _do(session, action, ask_for, wait=wait)


@click.command("write-off")
@click.argument("action")
@why_option
@click.pass_obj
def write_off(session: Session, action: str, comment: str) -> None:
    """Give up waiting for a receipt: the action FAILED, its effect UNKNOWN. Undo can still be asked for."""

    async def ask_for(stub: Stub, found: action_pb2.Action) -> action_pb2.Action:
        request = action_service_pb2.WriteOffActionRequest(name=found.name, comment=comment)
        return (await stub.WriteOffAction(request, timeout=TIMEOUT)).action

    _do(session, action, ask_for)


DECIDING = (ask, approve, reject, cancel, undo, retry, write_off)


def _do(session: Session, action: str, ask_for: Ask, *, wait: bool = False, well: set[int] | None = None) -> None:
    """Find an action, do something to it, and print what became of it."""

    async def work(connection: Connection) -> action_pb2.Action:
        found = await lookup.action(connection, action)
        answer = await ask_for(stub_of(connection), found)
        return await _until_end(connection, answer) if wait else answer

    _answer(session, session.call(work), wait=wait, well=well)


async def _until_end(connection: Connection, action: action_pb2.Action) -> action_pb2.Action:
    """Watch an action until it ends; on a terminal, tell how far it is."""
    request = action_service_pb2.WatchActionsRequest(filter=f'name = "{action.name}"')
    told = ""
    async for answer in following(stub_of(connection).WatchActions, request):
        action = answer.action
        if action.state > UNFINISHED:
            break
        if sys.stderr.isatty() and told != (told := show.state(action)):
            click.echo(f"{show.short(action.name)}  {told}", err=True)
    return action


def _answer(session: Session, found: action_pb2.Action, *, wait: bool, well: set[int] | None = None) -> None:
    """Print what became of an action; after waiting, exit with 1 unless it ended as asked."""
    session.show([found], lambda: say(f"{show.short(found.name)}  {show.what(found)}: {show.state(found)}"))
    if wait and found.state not in (well or WELL):
        raise SystemExit(1)
