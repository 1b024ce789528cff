"""Investigations: what detection systems bring, and what ends them."""

from quell.actioncenter.v1 import investigation_pb2, investigation_service_pb2

from quell_actioncenter.application.actor import Actor


class Investigations:
    """The use cases of `InvestigationService`; reading is the API's, from the store."""

    async def submit(
        self, request: investigation_service_pb2.SubmitInvestigationRequest, actor: Actor
    ) -> investigation_pb2.Investigation:
        """Store an investigation with its first evidence and derive actions; `actor` is the detector.

        Raises:
            InvestigationIdTakenError: The id belongs to one with other content.
            EvidenceIdTakenError: Two of the evidence have one id and revision, and other content.

        """
        raise NotImplementedError

    async def add_evidence(
        self, request: investigation_service_pb2.AddEvidenceRequest, actor: Actor
    ) -> investigation_service_pb2.AddEvidenceResponse:
        """Store one message of evidence and derive actions; the caller adds up the counts of its stream."""
        raise NotImplementedError

    async def complete(
        self, request: investigation_service_pb2.CompleteInvestigationRequest, actor: Actor
    ) -> investigation_pb2.Investigation:
        """Note that analysis is done."""
        raise NotImplementedError

    async def terminate(
        self, request: investigation_service_pb2.TerminateInvestigationRequest, actor: Actor
    ) -> investigation_pb2.Investigation:
        """End it by hand: what was not sent is canceled."""
        raise NotImplementedError

    async def report_feedback(self, request: investigation_service_pb2.ReportFeedbackRequest, actor: Actor) -> None:
        """Note what a person thinks of a verdict."""
        raise NotImplementedError
