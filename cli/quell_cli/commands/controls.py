"""What is in force, the brakes, the policy, the log."""

import uuid
from pathlib import Path

import click
from quell.actioncenter.v1 import (
    audit_service_pb2,
    audit_service_pb2_grpc,
    control_service_pb2,
    control_service_pb2_grpc,
    effect_pb2,
    effect_service_pb2,
    effect_service_pb2_grpc,
    policy_service_pb2,
    policy_service_pb2_grpc,
)
from quell.remediation.v1 import outcome_pb2

from quell_cli import show
from quell_cli.connection import Connection
from quell_cli.session import TIMEOUT, Session
from quell_runtime.kinds import kind_of

VERIFY_WITHIN = 60.0


@click.command()
@click.option("--filter", "condition", default="", help='As "kind = block_url".')
@click.pass_obj
def effects(session: Session, condition: str) -> None:
    """List what is in force now: since when, until when, by which action, and what the last look found."""

    async def work(connection: Connection) -> list[effect_pb2.Effect]:
        stub = connection.stub("actioncenter", effect_service_pb2_grpc.EffectServiceStub)
        request = effect_service_pb2.ListEffectsRequest(filter=condition, page_size=1000)
        return list((await stub.ListEffects(request, timeout=TIMEOUT)).effects)

    found = session.call(work)
    rows = [
        (
            kind_of(each.remediation).name,
            show.target(each.remediation),
            show.short(each.action),
            show.time(each.start_time, utc=session.utc),
            show.time(each.revert_time, utc=session.utc) or "never",
            outcome_pb2.EffectState.Name(each.state).removeprefix("EFFECT_STATE_"),
            show.time(each.probe_time, utc=session.utc),
        )
        for each in found
    ]
    session.show(
        found, lambda: session.table(("what", "target", "action", "since", "until", "last look", "looked at"), rows)
    )


def _freeze(session: Session, found: control_service_pb2.FreezeStatus) -> None:
    def told() -> None:
        scope = ", ".join(found.kinds) or "every kind"
        state = f"frozen: {scope}" if found.frozen else "not frozen"
        click.echo(f"{state} (epoch {found.epoch}) {found.actor} {found.comment}")
        if found.frozen and found.unfreeze_votes:
            click.echo(f"lifting it: {', '.join(found.unfreeze_votes)}; one more person is needed")

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
def policy() -> None:
    """Show the policy in force, or check a document."""


@policy.command("show")
@click.option("--version", "number", default="current", help="Number of a version.")
@click.pass_obj
def show_policy(session: Session, number: str) -> None:
    """Print a version of the policy."""

    async def work(connection: Connection) -> policy_service_pb2.Policy:
        stub = connection.stub("actioncenter", policy_service_pb2_grpc.PolicyServiceStub)
        request = policy_service_pb2.GetPolicyRequest(name=f"policies/{number}")
        return (await stub.GetPolicy(request, timeout=TIMEOUT)).policy

    found = session.call(work)
    session.show([found], lambda: click.echo(f"# {found.name}\n{found.document}", nl=False))


@policy.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.pass_obj
def check(session: Session, file: Path) -> None:
    """Check a policy FILE; nothing is put in force."""
    document = file.read_text(encoding="utf-8")

    async def work(connection: Connection) -> policy_service_pb2.TestPolicyResponse:
        stub = connection.stub("actioncenter", policy_service_pb2_grpc.PolicyServiceStub)
        return await stub.TestPolicy(policy_service_pb2.TestPolicyRequest(document=document), timeout=TIMEOUT)

    found = session.call(work)
    session.show([found], lambda: click.echo(f"{file.name} is good"))


@click.group()
def audit() -> None:
    """See the audit log and verify its chain."""


@audit.command("list")
@click.option("--filter", "condition", default="", help='As "actor = ann AND event = action_approved".')
@click.option("--limit", default=50, show_default=True, help="At most this many.")
@click.pass_obj
def list_audit(session: Session, condition: str, limit: int) -> None:
    """List entries, newest first."""

    async def work(connection: Connection) -> list[audit_service_pb2.AuditEntry]:
        stub = connection.stub("actioncenter", audit_service_pb2_grpc.AuditServiceStub)
        request = audit_service_pb2.ListAuditEntriesRequest(filter=condition, page_size=limit)
        return list((await stub.ListAuditEntries(request, timeout=TIMEOUT)).entries)

    found = session.call(work)
    rows = [
        (str(each.number), show.time(each.time, utc=session.utc), each.actor, each.event, each.resource)
        for each in found
    ]
    session.show(found, lambda: session.table(("number", "when", "who", "event", "of what"), rows))


@audit.command()
@click.pass_obj
def verify(session: Session) -> None:
    """Compute the chain again; exit code 1 if it does not hold."""

    async def work(connection: Connection) -> audit_service_pb2.VerifyAuditResponse:
        stub = connection.stub("actioncenter", audit_service_pb2_grpc.AuditServiceStub)
        return await stub.VerifyAudit(audit_service_pb2.VerifyAuditRequest(), timeout=VERIFY_WITHIN)

    found = session.call(work)
    told = f"the chain breaks at entry {found.broken}" if found.broken else f"all {found.checked} entries hold"
    session.show([found], lambda: click.echo(f"{told}; newest hash {found.hash.hex()}"))
    if found.broken:
        raise SystemExit(1)
