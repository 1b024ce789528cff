"""The policy: read it, try another one, put it in force."""

from collections import Counter
from pathlib import Path

import click
from quell.actioncenter.v1 import action_pb2, policy_service_pb2, policy_service_pb2_grpc

from quell_cli import show
from quell_cli.connection import Connection
from quell_cli.plain import plain
from quell_cli.session import TIMEOUT, Session, say

CURRENT = "current"
TRY_WITHIN = 60.0
TOLD = 20
file_argument = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


def _stub(connection: Connection) -> "policy_service_pb2_grpc.PolicyServiceAsyncStub":
    return connection.stub("actioncenter", policy_service_pb2_grpc.PolicyServiceStub)


async def _get(connection: Connection, number: str) -> policy_service_pb2.Policy:
    request = policy_service_pb2.GetPolicyRequest(name=f"policies/{number.removeprefix('policies/')}")
    return (await _stub(connection).GetPolicy(request, timeout=TIMEOUT)).policy


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{file} can't be read: {error}") from None


@click.group()
def policy() -> None:
    """Show the policy in force, try a document, put one in force."""


@policy.command("show")
@click.option("--version", "number", default=CURRENT, help="Number of a version.")
@click.pass_obj
def show_policy(session: Session, number: str) -> None:
    """Print a version of the policy: its document on stdout, about it on stderr."""
    found = session.call(lambda connection: _get(connection, number))

    def told() -> None:
        why = f": {found.comment}" if found.comment else ""
        when = show.time(found.create_time, utc=session.utc)
        click.echo(plain(f"{found.name}, {when}, {found.actor}{why}"), err=True)
        click.echo(found.document, nl=False)

    session.show([found], told)


@policy.command()
@file_argument
@click.option("--filter", "condition", default="", help="Of which investigations; else the newest 1,000.")
@click.pass_obj
def check(session: Session, file: Path, condition: str) -> None:
    """Check a policy FILE, and tell what it would decide otherwise; nothing is put in force."""
    request = policy_service_pb2.TestPolicyRequest(document=_read(file), filter=condition)

    async def work(connection: Connection) -> policy_service_pb2.TestPolicyResponse:
        return await _stub(connection).TestPolicy(request, timeout=TRY_WITHIN)

    found = session.call(work)
    session.show([found], lambda: say(*_differences(file.name, found)))


def _differences(name: str, found: policy_service_pb2.TestPolicyResponse) -> list[str]:
    told = [f"{name} has no mistakes; {found.tested} pieces of evidence were decided anew"]
    ways = Counter((each.kind, _state(each.before), _state(each.after)) for each in found.differences)
    told += [f"{kind}: {before} -> {after}: {count}" for (kind, before, after), count in ways.items()]
    for each in found.differences[:TOLD]:
        told.append(f"  {each.evidence}: {each.kind}: {_state(each.before)} -> {_state(each.after)} ({each.rule})")
    return told


def _state(state: action_pb2.ActionState.ValueType) -> str:
    return action_pb2.ActionState.Name(state).removeprefix("ACTION_STATE_") if state else "no action"


@policy.command()
@file_argument
@click.option("--comment", "-m", required=True, help="Why.")
@click.option("--replaces", default="", help="Number of the version that you saw; without it, the one in force.")
@click.pass_obj
def update(session: Session, file: Path, comment: str, replaces: str) -> None:
    """Put a policy FILE in force, as a new version."""
    document = _read(file)

    async def work(connection: Connection) -> policy_service_pb2.Policy:
        seen = await _get(connection, replaces or CURRENT)
        request = policy_service_pb2.UpdatePolicyRequest(document=document, replaces=seen.name, comment=comment)
        return (await _stub(connection).UpdatePolicy(request, timeout=TIMEOUT)).policy

    found = session.call(work)
    session.show([found], lambda: say(f"{found.name} is in force"))
