"""What `InvestigationService` refuses."""
# ruff: noqa: D401 - a scenario says what is so

from collections.abc import Sequence

from google.protobuf.message import Message
from grpc import StatusCode as Code
from quell.actioncenter.v1 import investigation_service_pb2
from quell.remediation.v1 import evidence_pb2

from center_requests import Center, feedback, new, submission, terminate, url
from refusals import always, refuses

NOWHERE = "investigations/xdr.nowhere"
NONSENSE = "x"


@refuses("SubmitInvestigation", Code.ALREADY_EXISTS, "INVESTIGATION_ID_TAKEN", "xdr")
async def of_another_title(center: Center) -> Message:
    """The id is that of an investigation with another title."""
    investigation_id = new()
    await center.ask("xdr", "SubmitInvestigation", submission(investigation_id))
    return submission(investigation_id, title="another")


always(
    "SubmitInvestigation",
    Code.ALREADY_EXISTS,
    "EVIDENCE_ID_TAKEN",
    submission(new(), url("same"), url("same")),
    "xdr",
)
always(
    "SubmitInvestigation",
    Code.INVALID_ARGUMENT,
    "FIELD_INVALID",
    submission(new(), url("good"), url("bad", url=evidence_pb2.UrlEvidence())),
    "xdr",
)
always(
    "AddEvidence",
    Code.NOT_FOUND,
    "INVESTIGATION_UNKNOWN",
    [investigation_service_pb2.AddEvidenceRequest(name=NOWHERE, evidence=[url("e")])],
    "xdr",
)


@refuses("AddEvidence", Code.FAILED_PRECONDITION, "INVESTIGATION_ENDED", "xdr")
async def to_what_a_person_ended(center: Center) -> Sequence[Message]:
    """It was terminated."""
    name = await center.submitted()
    await center.ask("ann", "TerminateInvestigation", terminate(name))
    return [investigation_service_pb2.AddEvidenceRequest(name=name, evidence=[url("e")])]


@refuses("AddEvidence", Code.ALREADY_EXISTS, "EVIDENCE_ID_TAKEN", "xdr")
async def other_evidence_under_one_id(center: Center) -> Sequence[Message]:
    """The id and revision are known with other content."""
    name = await center.submitted(url("e"))
    return [investigation_service_pb2.AddEvidenceRequest(name=name, evidence=[url("e")])]


@refuses("AddEvidence", Code.INVALID_ARGUMENT, "INVALID", "xdr", "name")
async def to_two_at_once(center: Center) -> Sequence[Message]:
    """The second message names another investigation; the first is known already."""
    evidence = url("e")
    names = await center.submitted(evidence), await center.submitted()
    return [investigation_service_pb2.AddEvidenceRequest(name=name, evidence=[evidence]) for name in names]


always(
    "CompleteInvestigation",
    Code.NOT_FOUND,
    "INVESTIGATION_UNKNOWN",
    investigation_service_pb2.CompleteInvestigationRequest(name=NOWHERE),
    "xdr",
)


@refuses("CompleteInvestigation", Code.FAILED_PRECONDITION, "INVESTIGATION_ENDED", "xdr")
async def what_a_person_ended(center: Center) -> Message:
    """It was terminated."""
    name = await center.submitted()
    await center.ask("ann", "TerminateInvestigation", terminate(name))
    return investigation_service_pb2.CompleteInvestigationRequest(name=name)


@refuses("CompleteInvestigation", Code.FAILED_PRECONDITION, "INVESTIGATION_ENDED", "xdr")
async def otherwise_than_before(center: Center) -> Message:
    """Its analysis did not fail."""
    name = await center.submitted(complete=True)
    return investigation_service_pb2.CompleteInvestigationRequest(name=name, analysis_failure="it did")


always("TerminateInvestigation", Code.NOT_FOUND, "INVESTIGATION_UNKNOWN", terminate(NOWHERE))


@refuses("TerminateInvestigation", Code.FAILED_PRECONDITION, "INVESTIGATION_ENDED")
async def what_is_complete(center: Center) -> Message:
    """Nothing harmful was found, and it is over."""
    return terminate(await center.submitted(complete=True))


for reading, by_name in (
    ("GetInvestigation", investigation_service_pb2.GetInvestigationRequest),
    ("ListEvidence", investigation_service_pb2.ListEvidenceRequest),
):
    always(reading, Code.NOT_FOUND, "INVESTIGATION_UNKNOWN", by_name(name=NOWHERE))


@refuses("ListEvidence", Code.INVALID_ARGUMENT, "FILTER_INVALID", field="filter")
async def by_what_evidence_has_not(center: Center) -> Message:
    """No such field."""
    return investigation_service_pb2.ListEvidenceRequest(name=await center.submitted(), filter="colour = red")


@refuses("ListEvidence", Code.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID", field="page_token")
async def after_no_page_of_evidence(center: Center) -> Message:
    """No such page."""
    return investigation_service_pb2.ListEvidenceRequest(name=await center.submitted(), page_token=NONSENSE)


always("ReportFeedback", Code.NOT_FOUND, "EVIDENCE_UNKNOWN", feedback(f"{NOWHERE}/evidence/e"))


@refuses("ReportFeedback", Code.ALREADY_EXISTS, "FEEDBACK_ID_TAKEN")
async def with_other_words(center: Center) -> Message:
    """The id is that of feedback with another comment."""
    evidence = f"{await center.submitted(url('e'))}/evidence/e"
    said = feedback(evidence)
    await center.ask("ann", "ReportFeedback", said)
    return feedback(evidence, feedback_id=said.feedback_id, comment="y")
