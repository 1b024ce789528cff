"""`InvestigationService`: read the request, call the use case, write the response."""
# ruff: noqa: N802 - methods have the contract's names

from collections.abc import AsyncIterator

from quell.actioncenter.v1 import investigation_service_pb2 as messages
from quell.actioncenter.v1.investigation_service_pb2_grpc import InvestigationServiceServicer

from quell_actioncenter.api import callers, resources
from quell_actioncenter.api.watching import watching
from quell_actioncenter.application.investigations import Investigations
from quell_actioncenter.domain.errors import InvestigationUnknownError
from quell_actioncenter.domain.records import InvestigationRecord
from quell_actioncenter.store.tables import EVIDENCE, INVESTIGATIONS
from quell_runtime.errors import InvalidError
from quell_runtime.listing.filters import Filter, parse
from quell_runtime.listing.paging import Listing, Order, order_of, size_of
from quell_runtime.store import Store

FIELDS = resources.INVESTIGATION


class InvestigationServicer(InvestigationServiceServicer):
    """Where detection systems bring what they found, and everybody sees what came of it."""

    def __init__(self, investigations: Investigations, store: Store) -> None:
        """Change by the use cases, read from the store."""
        self._investigations = investigations
        self._store = store

    async def SubmitInvestigation(
        self, request: messages.SubmitInvestigationRequest, _context: object
    ) -> messages.SubmitInvestigationResponse:
        """Store it with its first evidence."""
        found = await self._investigations.submit(request, callers.actor())
        return messages.SubmitInvestigationResponse(investigation=found)

    async def AddEvidence(
        self, request_iterator: AsyncIterator[messages.AddEvidenceRequest], _context: object
    ) -> messages.AddEvidenceResponse:
        """Store message after message, and answer with the sums."""
        total = messages.AddEvidenceResponse()
        name = ""
        async for request in request_iterator:
            name = name or request.name
            if request.name != name:
                raise InvalidError("it must be the same in each message", "name")
            one = await self._investigations.add_evidence(request, callers.actor())
            total.added += one.added
            total.replaced += one.replaced
            total.unchanged += one.unchanged
        return total

    async def CompleteInvestigation(
        self, request: messages.CompleteInvestigationRequest, _context: object
    ) -> messages.CompleteInvestigationResponse:
        """Note that analysis is done."""
        found = await self._investigations.complete(request, callers.actor())
        return messages.CompleteInvestigationResponse(investigation=found)

    async def TerminateInvestigation(
        self, request: messages.TerminateInvestigationRequest, _context: object
    ) -> messages.TerminateInvestigationResponse:
        """End it by hand."""
        found = await self._investigations.terminate(request, callers.actor())
        return messages.TerminateInvestigationResponse(investigation=found)

    async def GetInvestigation(
        self, request: messages.GetInvestigationRequest, _context: object
    ) -> messages.GetInvestigationResponse:
        """Return one."""
        found = await self._visible(request.name)
        return messages.GetInvestigationResponse(investigation=found.investigation)

    async def ListInvestigations(
        self, request: messages.ListInvestigationsRequest, _context: object
    ) -> messages.ListInvestigationsResponse:
        """Return a page."""
        order = order_of(request.order_by, FIELDS, "create_time desc", FIELDS["name"])
        listing = Listing(INVESTIGATIONS, _wanted(request.filter), order)
        size = size_of(request.page_size, resources.PAGE)
        records, token = await listing.page(self._store, size, request.page_token)
        return messages.ListInvestigationsResponse(
            investigations=[record.investigation for record in records],
            next_page_token=token,
            total_size=await listing.total(self._store),
        )

    async def WatchInvestigations(
        self, request: messages.WatchInvestigationsRequest, _context: object
    ) -> AsyncIterator[messages.WatchInvestigationsResponse]:
        """Tell each that fits, then each change."""
        async with watching(self._store, INVESTIGATIONS, _wanted(request.filter), request.resume_token) as watch:
            async for told in watch:
                yield messages.WatchInvestigationsResponse(
                    investigation=told.record.investigation, matches=told.matches, resume_token=told.token
                )

    async def ListEvidence(
        self, request: messages.ListEvidenceRequest, _context: object
    ) -> messages.ListEvidenceResponse:
        """Return a page of one's evidence."""
        found = await self._visible(request.name)
        wanted = parse(request.filter, resources.EVIDENCE).narrowed(resources.EVIDENCE_OF, found.name)
        listing = Listing(EVIDENCE, wanted, Order((resources.EVIDENCE_NUMBER,), descending=False))
        size = size_of(request.page_size, resources.PAGE_OF_PARTS)
        records, token = await listing.page(self._store, size, request.page_token)
        return messages.ListEvidenceResponse(evidence=[record.stored for record in records], next_page_token=token)

    async def ReportFeedback(
        self, request: messages.ReportFeedbackRequest, _context: object
    ) -> messages.ReportFeedbackResponse:
        """Note what a person thinks of a verdict."""
        await self._investigations.report_feedback(request, callers.actor())
        return messages.ReportFeedbackResponse()

    async def _visible(self, name: str) -> InvestigationRecord:
        found = await self._store.load(INVESTIGATIONS, name)
        if found is None or callers.detector() not in ("", found.detector):
            raise InvestigationUnknownError(f"there is no {name} that you may see")
        return found


def _wanted(text: str) -> Filter[InvestigationRecord]:
    found = parse(text, FIELDS)
    detector = callers.detector()
    return found.narrowed(FIELDS["detector"], detector) if detector else found
