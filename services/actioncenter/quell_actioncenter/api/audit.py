"""`AuditService`: the log of every change."""
# ruff: noqa: N802 - methods have the contract's names

from collections.abc import AsyncIterator

from quell.actioncenter.v1 import audit_service_pb2 as messages
from quell.actioncenter.v1.audit_service_pb2_grpc import AuditServiceServicer

from quell_actioncenter.api import resources
from quell_actioncenter.application.audit import Audit
from quell_actioncenter.application.history import entry_of
from quell_actioncenter.store.tables import EVENTS
from quell_runtime.listing.filters import parse
from quell_runtime.listing.paging import Listing, Order, size_of
from quell_runtime.store import Store


class AuditServicer(AuditServiceServicer):
    """Each entry is chained to the one before by hash."""

    def __init__(self, audit: Audit, store: Store) -> None:
        """Check by the use cases, read from the store."""
        self._audit = audit
        self._store = store

    async def ListAuditEntries(
        self, request: messages.ListAuditEntriesRequest, _context: object
    ) -> messages.ListAuditEntriesResponse:
        """Return a page, newest first."""
        order = Order((resources.ENTRY["number"],), descending=True)
        listing = Listing(EVENTS, parse(request.filter, resources.ENTRY), order)
        size = size_of(request.page_size, resources.PAGE_OF_PARTS)
        records, token = await listing.page(self._store, size, request.page_token)
        return messages.ListAuditEntriesResponse(entries=map(entry_of, records), next_page_token=token)

    async def VerifyAudit(self, request: messages.VerifyAuditRequest, _context: object) -> messages.VerifyAuditResponse:
        """Compute the chain again."""
        return await self._audit.verify(request.first, request.last)

    async def ExportAudit(
        self, request: messages.ExportAuditRequest, _context: object
    ) -> AsyncIterator[messages.ExportAuditResponse]:
        """Send every entry, oldest first."""
        async for records in self._audit.export(request.first):
            yield messages.ExportAuditResponse(entries=map(entry_of, records))
