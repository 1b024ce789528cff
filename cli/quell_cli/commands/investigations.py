"""Investigations: submit one, see what came of it."""

from pathlib import Path
from typing import BinaryIO, TypeAlias

import click
from google.protobuf.json_format import ParseDict, ParseError
from quell.actioncenter.v1 import investigation_pb2, investigation_service_pb2, investigation_service_pb2_grpc

from quell_cli import lookup, show
from quell_cli.connection import Connection
from quell_cli.deployment import DETECTOR
from quell_cli.following import following
from quell_cli.pages import pages
from quell_cli.session import TIMEOUT, Session, one_line, say

BATCH = 500
Stub: TypeAlias = "investigation_service_pb2_grpc.InvestigationServiceAsyncStub"


def stub_of(connection: Connection) -> Stub:
    """Return the stub of InvestigationService."""
    return connection.stub("actioncenter", investigation_service_pb2_grpc.InvestigationServiceStub)


@click.command()
@click.argument("file", type=click.File("rb"))
@click.option("--detector", default=DETECTOR, show_default=True, help="Which detection system submits it.")
@click.pass_obj
def submit(session: Session, file: BinaryIO, detector: str) -> None:
    """Submit an investigation from a JSON FILE: a SubmitInvestigationRequest, with any number of evidence."""
    request = _request(Path(file.name).name, file.read())
    more = [request.evidence[at : at + BATCH] for at in range(BATCH, len(request.evidence), BATCH)]
    complete = request.complete

    async def work(connection: Connection) -> investigation_pb2.Investigation:
        stub = stub_of(connection)
        first = investigation_service_pb2.SubmitInvestigationRequest()
        first.CopyFrom(request)
        del first.evidence[BATCH:]
        first.complete = complete and not more
        found = (await stub.SubmitInvestigation(first, timeout=TIMEOUT)).investigation
        if more:
            batches = [investigation_service_pb2.AddEvidenceRequest(name=found.name, evidence=each) for each in more]
            await stub.AddEvidence(iter(batches), timeout=TIMEOUT * 10)
        if complete and more:
            done = investigation_service_pb2.CompleteInvestigationRequest(name=found.name)
            return (await stub.CompleteInvestigation(done, timeout=TIMEOUT)).investigation
        return found

    found = session.call(work, person=detector)
    session.show([found], lambda: say(f"{found.name}: {show.investigation_state(found)}"))


def _request(name: str, content: bytes) -> investigation_service_pb2.SubmitInvestigationRequest:
    import json  # noqa: PLC0415 - for this command only

    try:
        return ParseDict(json.loads(content), investigation_service_pb2.SubmitInvestigationRequest())
    except (ValueError, ParseError) as error:
        reason = str(error).partition("\n")[0]
        raise click.UsageError(f"{name} is no SubmitInvestigationRequest: {reason}") from None


@click.group()
def investigations() -> None:
    """See investigations, their evidence and what came of it."""


@investigations.command("list")
@click.option("--filter", "condition", default="", help='As "state = PENDING_APPROVAL".')
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="At most this many.")
@click.pass_obj
def list_investigations(session: Session, condition: str, limit: int) -> None:
    """List investigations, newest first."""

    async def work(connection: Connection) -> list[investigation_pb2.Investigation]:
        request = investigation_service_pb2.ListInvestigationsRequest(filter=condition)
        return await pages(stub_of(connection).ListInvestigations, request, "investigations", limit)

    found = session.call(work)
    rows = [
        (
            each.name.removeprefix("investigations/"),
            each.title,
            show.investigation_state(each),
            show.outcome_of_investigation(each.outcome),
            show.time(each.create_time, utc=session.utc),
        )
        for each in found
    ]
    session.show(found, lambda: session.table(("investigation", "title", "state", "outcome", "submitted"), rows))


@investigations.command("show")
@click.argument("investigation")
@click.pass_obj
def show_investigation(session: Session, investigation: str) -> None:
    """Show one investigation with its evidence, and what followed from each or why nothing did."""

    async def work(
        connection: Connection,
    ) -> tuple[investigation_pb2.Investigation, list[investigation_pb2.StoredEvidence]]:
        name = await lookup.investigation(connection, investigation)
        stub = stub_of(connection)
        found = await stub.GetInvestigation(
            investigation_service_pb2.GetInvestigationRequest(name=name), timeout=TIMEOUT
        )
        request = investigation_service_pb2.ListEvidenceRequest(name=name)
        return found.investigation, await pages(stub.ListEvidence, request, "evidence")

    found, evidence = session.call(work)
    session.show([found, *evidence], lambda: _details(session, found, evidence))


def _details(
    session: Session, found: investigation_pb2.Investigation, evidence: list[investigation_pb2.StoredEvidence]
) -> None:
    say(f"{found.name} {found.title}: {show.investigation_state(found)}")
    say(show.outcome_of_investigation(found.outcome))
    session.table(("evidence", "what followed"), [(show.evidence(each.evidence), _followed(each)) for each in evidence])


def _followed(evidence: investigation_pb2.StoredEvidence) -> str:
    if evidence.actions:
        return ", ".join(show.short(name) for name in evidence.actions)
    reason = investigation_pb2.NoActionReason.Name(evidence.no_action.reason).removeprefix("NO_ACTION_REASON_")
    return f"{reason}: {evidence.no_action.message}"


@investigations.command()
@click.option("--filter", "condition", default="", help="Only those that match.")
@click.pass_obj
def watch(session: Session, condition: str) -> None:
    """Watch investigations as they change, until Ctrl-C."""

    async def work(connection: Connection) -> None:
        request = investigation_service_pb2.WatchInvestigationsRequest(filter=condition)
        async for answer in following(stub_of(connection).WatchInvestigations, request):
            each = answer.investigation
            if session.as_json:
                click.echo(one_line(each))
                continue
            when = show.time(each.update_time, utc=session.utc)
            say(f"{when}  {each.name}  {show.investigation_state(each)}: {show.outcome_of_investigation(each.outcome)}")

    session.call(work)


@investigations.command()
@click.argument("investigation")
@click.option("--comment", "-m", required=True, help="Why.")
@click.pass_obj
def terminate(session: Session, investigation: str, comment: str) -> None:
    """End an investigation by hand: what was not sent is canceled."""

    async def work(connection: Connection) -> investigation_pb2.Investigation:
        name = await lookup.investigation(connection, investigation)
        request = investigation_service_pb2.TerminateInvestigationRequest(name=name, comment=comment)
        return (await stub_of(connection).TerminateInvestigation(request, timeout=TIMEOUT)).investigation

    found = session.call(work)
    session.show([found], lambda: say(f"{found.name}: {show.investigation_state(found)}"))
