"""What is in force, the brakes, the log."""

import uuid

import click
from quell.actioncenter.v1 import (
    audit_service_pb2,
    audit_service_pb2_grpc,
    control_service_pb2,
    control_service_pb2_grpc,
    effect_pb2,
    effect_service_pb2,
    effect_service_pb2_grpc,
)
from quell.executor.v1 import executor_service_pb2

from quell_cli import show
from quell_cli.connection import Connection
from quell_cli.pages import pages
from quell_cli.session import TIMEOUT, Session, say

VERIFY_WITHIN = 60.0


@click.command()
@click.option("--filter", "condition", default="", help='As "kind = block_url".')
@click.pass_obj
def effects(session: Session, condition: str) -> None:
    """List what is in force now: since when, until when, by which action, and what the last look found."""

    async def work(connection: Connection) -> list[effect_pb2.Effect]:
        stub = connection.stub("actioncenter", effect_service_pb2_grpc.EffectServiceStub)
        return await pages(stub.ListEffects, effect_service_pb2.ListEffectsRequest(filter=condition), "effects")

    found = session.call(work)
    session.show(found, lambda: session.table(show.EFFECT, [show.effect(each, utc=session.utc) for each in found]))


def _freeze(session: Session, found: control_service_pb2.FreezeStatus) -> None:
    def told() -> None:
        scope = ", ".join(found.kinds) or "every kind"
        state = f"frozen: {scope}" if found.frozen else "not frozen"
        say(f"{state} (epoch {found.epoch}) {found.actor}: {found.comment}" if found.epoch else state)
        if found.frozen and found.unfreeze_votes:
            say(f"lifting it: {', '.join(found.unfreeze_votes)}; one more person is needed")

    session.show([found], told)


@click.command()
@click.argument("kinds", nargs=-1)
@click.option("--comment", "-m", required=True, help="Why.")
@click.pass_obj
def freeze(session: Session, kinds: tuple[str, ...], comment: str) -> None:
    """Stop new effects of these KINDS, or of all; undo, release and reads go on."""
    new = str(uuid.uuid4())

    async def work(connection: Connection) -> control_service_pb2.FreezeStatus:
        stub = connection.stub("actioncenter", control_service_pb2_grpc.ControlServiceStub)
        request = control_service_pb2.FreezeRequest(freeze_id=new, comment=comment, kinds=kinds)
        return (await stub.Freeze(request, timeout=TIMEOUT)).freeze

    _freeze(session, session.call(work))


@click.command()
@click.option("--comment", "-m", required=True, help="Why.")
@click.pass_obj
def unfreeze(session: Session, comment: str) -> None:
    """Vote to lift the freeze; it takes two people."""
    vote = str(uuid.uuid4())

    async def work(connection: Connection) -> control_service_pb2.FreezeStatus:
        stub = connection.stub("actioncenter", control_service_pb2_grpc.ControlServiceStub)
        now = (await stub.GetFreeze(control_service_pb2.GetFreezeRequest(), timeout=TIMEOUT)).freeze
        request = control_service_pb2.UnfreezeRequest(vote_id=vote, epoch=max(now.epoch, 1), comment=comment)
        return (await stub.Unfreeze(request, timeout=TIMEOUT)).freeze

    _freeze(session, session.call(work))


@click.command()
@click.pass_obj
def budgets(session: Session) -> None:
    """List the policy's budgets and what is left of each."""

    async def work(connection: Connection) -> list[control_service_pb2.Budget]:
        stub = connection.stub("actioncenter", control_service_pb2_grpc.ControlServiceStub)
        return list((await stub.ListBudgets(control_service_pb2.ListBudgetsRequest(), timeout=TIMEOUT)).budgets)

    found = session.call(work)
    rows = [
        (
            each.name,
            ", ".join(each.kinds),
            str(each.window.ToTimedelta()),
            str(each.limit),
            str(each.used),
            str(each.held),
        )
        for each in found
    ]
    session.show(found, lambda: session.table(("budget", "kinds", "in", "limit", "used", "held"), rows))


@click.group()
def audit() -> None:
    """See the audit log and verify its chain."""


@audit.command("list")
@click.option("--filter", "condition", default="", help='As "actor = ann AND event = action_approved".')
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="At most this many.")
@click.pass_obj
def list_audit(session: Session, condition: str, limit: int) -> None:
    """List entries, newest first."""

    async def work(connection: Connection) -> list[audit_service_pb2.AuditEntry]:
        stub = connection.stub("actioncenter", audit_service_pb2_grpc.AuditServiceStub)
        request = audit_service_pb2.ListAuditEntriesRequest(filter=condition)
        return await pages(stub.ListAuditEntries, request, "entries", limit)

    found = session.call(work)
    rows = [
        (str(each.number), show.time(each.time, utc=session.utc), each.actor, each.event, each.resource, _why(each))
        for each in found
    ]
    session.show(found, lambda: session.table(("number", "when", "who", "event", "of what", "why"), rows))


def _why(entry: audit_service_pb2.AuditEntry) -> str:
    """Return the reason that whoever took or saw something gave; an action's are told by `quell actions show`."""
    if entry.event not in ("artifact_downloaded", "quarantined_message_viewed") or not entry.payload:
        return ""
    inner = audit_service_pb2.AuditEntry.FromString(entry.payload).payload
    return executor_service_pb2.Access.FromString(inner).comment


@audit.command()
@click.pass_obj
def verify(session: Session) -> None:
    """Compute the chain again; exit code 1 if it does not hold."""

    async def work(connection: Connection) -> audit_service_pb2.VerifyAuditResponse:
        stub = connection.stub("actioncenter", audit_service_pb2_grpc.AuditServiceStub)
        return await stub.VerifyAudit(audit_service_pb2.VerifyAuditRequest(), timeout=VERIFY_WITHIN)

    found = session.call(work)
    told = f"the chain breaks at entry {found.broken}" if found.broken else f"all {found.checked} entries hold"
    session.show([found], lambda: say(f"{told}; newest hash {found.hash.hex()}"))
    if found.broken:
        raise SystemExit(1)
