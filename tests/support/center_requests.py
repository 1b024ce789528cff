"""Asking a whole Action Center: requests, and the steps that tests take before what they are about."""
# ruff: noqa: ANN401 - requests are made of their fields by name

import uuid
from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message
from quell.actioncenter.v1 import (
    action_pb2,
    action_service_pb2,
    control_service_pb2,
    investigation_pb2,
    investigation_service_pb2,
)
from quell.remediation.v1 import email_pb2, evidence_pb2, remediation_pb2, target_pb2, verdict_pb2

from eventually import eventually
from quell_actioncenter.api.resources import ACTION_STATE

SOON = 10.0


class Center:
    """The Action Center, as a scenario uses it."""

    def __init__(self, stubs: Callable[[str], Any]) -> None:
        """Call as anybody."""
        self.stubs = stubs

    async def ask(self, who: str, method: str, request: Message) -> Any:
        """Call an RPC that succeeds."""
        return await getattr(self.stubs(who), method)(request, timeout=SOON)

    async def create(self, remediation: remediation_pb2.Remediation) -> action_pb2.Action:
        """Have ann ask for an action."""
        answer = await self.ask("ann", "CreateAction", create(remediation))
        found: action_pb2.Action = answer.action
        return found

    async def approve(self, action: action_pb2.Action, vote_id: str = "") -> action_pb2.Action:
        """Have bob approve it."""
        answer = await self.ask("bob", "ApproveAction", approval(action, vote_id=vote_id))
        found: action_pb2.Action = answer.action
        return found

    async def until(self, name: str, *states: str) -> action_pb2.Action:
        """Wait until an action is in one of the states."""
        wanted = {ACTION_STATE[state] for state in states}

        async def look() -> action_pb2.Action:
            answer = await self.ask("ann", "GetAction", action_service_pb2.GetActionRequest(name=name))
            found: action_pb2.Action = answer.action
            return found

        return await eventually(look, lambda action: action.state in wanted)

    async def ended(self, text: str) -> action_pb2.Action:
        """Have a URL blocked, and return the action at its end."""
        action = await self.approve(await self.create(block(text)))
        return await self.until(action.name, "SUCCEEDED", "NOT_NEEDED", "FAILED")

    async def submitted(self, *evidence: evidence_pb2.Evidence, complete: bool = False) -> str:
        """Have an investigation submitted, and return its name."""
        request = submission(new(), *evidence, complete=complete)
        found: str = (await self.ask("xdr", "SubmitInvestigation", request)).investigation.name
        return found


def new() -> str:
    """Return a new id."""
    return str(uuid.uuid4())


def block(text: str) -> remediation_pb2.Remediation:
    """Return what blocks a URL, a new one for each call with an empty text."""
    return remediation_pb2.Remediation(block_url=email_pb2.BlockUrl(pattern=f"https://{text or new()}.example/*"))


def delete(subject: str) -> remediation_pb2.Remediation:
    """Return what deletes a campaign."""
    selector = target_pb2.MessageSelector(cluster=target_pb2.MessageCluster(subject=subject))
    return remediation_pb2.Remediation(soft_delete_messages=email_pb2.SoftDeleteMessages(messages=selector))


def create(remediation: remediation_pb2.Remediation, **fields: Any) -> action_service_pb2.CreateActionRequest:
    """Return a request for an action."""
    return action_service_pb2.CreateActionRequest(
        **{"action_id": new(), "remediation": remediation, "comment": "test", **fields}
    )


def approval(action: action_pb2.Action, **fields: Any) -> action_service_pb2.ApproveActionRequest:
    """Return a vote for an action as it is."""
    fields["vote_id"] = fields.get("vote_id") or new()
    if not fields.keys() & {"preview_digest", "approval"}:
        fields.setdefault("etag", action.etag)
    return action_service_pb2.ApproveActionRequest(name=action.name, comment="yes", **fields)


def rejection(action: action_pb2.Action, **fields: str) -> action_service_pb2.RejectActionRequest:
    """Return a vote against an action as it is."""
    return action_service_pb2.RejectActionRequest(
        **{"name": action.name, "vote_id": new(), "comment": "no", "etag": action.etag, **fields}
    )


def undo(name: str, **fields: str) -> action_service_pb2.UndoActionRequest:
    """Return a request for an undo."""
    return action_service_pb2.UndoActionRequest(**{"name": name, "undo_id": new(), "comment": "back", **fields})


def retry(name: str, **fields: str) -> action_service_pb2.RetryActionRequest:
    """Return a request for a retry."""
    return action_service_pb2.RetryActionRequest(**{"name": name, "retry_id": new(), "comment": "again", **fields})


def url(evidence_id: str, **fields: Any) -> evidence_pb2.Evidence:
    """Return evidence of a URL that nobody did anything with yet."""
    return evidence_pb2.Evidence(
        **{
            "id": evidence_id,
            "verdict": verdict_pb2.VERDICT_SUSPICIOUS,
            "url": evidence_pb2.UrlEvidence(url=f"https://{new()}.example/x"),
            **fields,
        }
    )


def submission(
    investigation_id: str, *evidence: evidence_pb2.Evidence, title: str = "test", complete: bool = False
) -> investigation_service_pb2.SubmitInvestigationRequest:
    """Return an investigation to submit."""
    return investigation_service_pb2.SubmitInvestigationRequest(
        investigation_id=investigation_id,
        investigation=investigation_pb2.Investigation(title=title),
        evidence=evidence,
        complete=complete,
    )


def terminate(name: str) -> investigation_service_pb2.TerminateInvestigationRequest:
    """Return the end of an investigation by hand."""
    return investigation_service_pb2.TerminateInvestigationRequest(name=name, comment="enough")


def feedback(evidence: str, **fields: Any) -> investigation_service_pb2.ReportFeedbackRequest:
    """Return what somebody thinks of a verdict."""
    return investigation_service_pb2.ReportFeedbackRequest(
        **{
            "feedback_id": new(),
            "evidence": evidence,
            "verdict": verdict_pb2.VERDICT_NO_THREATS_FOUND,
            "comment": "x",
            **fields,
        }
    )


def unfreeze(epoch: int, **fields: Any) -> control_service_pb2.UnfreezeRequest:
    """Return a vote to lift the freeze."""
    return control_service_pb2.UnfreezeRequest(**{"vote_id": new(), "epoch": epoch, "comment": "x", **fields})
