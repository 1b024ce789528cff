"""`ActionService`: read the request, call the use case, write the response."""
# ruff: noqa: N802 - methods have the contract's names

from collections.abc import AsyncIterator

from quell.actioncenter.v1 import action_service_pb2 as messages
from quell.actioncenter.v1.action_service_pb2_grpc import ActionServiceServicer

from quell_actioncenter.api import callers, items, resources, selection
from quell_actioncenter.api.watching import watching
from quell_actioncenter.application.center import Center
from quell_actioncenter.application.history import action_event_of
from quell_actioncenter.domain.errors import ActionUnknownError
from quell_actioncenter.domain.records import ActionRecord
from quell_actioncenter.store.tables import ACTIONS, EVENTS
from quell_runtime.interceptors.call import Context
from quell_runtime.listing.filters import parse
from quell_runtime.listing.paging import Listing, Order, order_of, size_of
from quell_runtime.people import People
from quell_runtime.store import Store

FIELDS = resources.ACTION


class ActionServicer(ActionServiceServicer):
    """Pending actions and the history of all of them: look, decide, take back."""

    def __init__(self, center: Center, store: Store, people: People) -> None:
        """Change by the use cases, read from the store."""
        self._actions = center.actions
        self._shown = center.shown
        self._progress = center.progress
        self._store = store
        self._people = people
        self._now = center.clock.now

    async def CreateAction(
        self, request: messages.CreateActionRequest, context: Context
    ) -> messages.CreateActionResponse:
        """Ask for a remediation by hand."""
        actor = callers.asking_for(request, self._people, callers.tokens_of(context), self._now())
        return messages.CreateActionResponse(action=await self._actions.create(request, actor))

    async def PreviewAction(
        self, request: messages.PreviewActionRequest, _context: object
    ) -> messages.PreviewActionResponse:
        """Show what it would do, and what an approval would bind."""
        return await self._actions.preview(request, callers.actor())

    async def GetAction(self, request: messages.GetActionRequest, _context: object) -> messages.GetActionResponse:
        """Return one."""
        return messages.GetActionResponse(action=self._shown(await self._known(request.name)))

    async def ListActions(self, request: messages.ListActionsRequest, _context: object) -> messages.ListActionsResponse:
        """Return a page."""
        order = order_of(request.order_by, FIELDS, "create_time desc", FIELDS["name"])
        listing = Listing(ACTIONS, parse(request.filter, FIELDS), order)
        size = size_of(request.page_size, resources.PAGE)
        records, token = await listing.page(self._store, size, request.page_token)
        return messages.ListActionsResponse(
            actions=[self._shown(record) for record in records],
            next_page_token=token,
            total_size=await listing.total(self._store),
        )

    async def WatchActions(
        self, request: messages.WatchActionsRequest, _context: object
    ) -> AsyncIterator[messages.WatchActionsResponse]:
        """Tell each that fits, then each change."""
        wanted = parse(request.filter, FIELDS)
        async with watching(self._store, ACTIONS, wanted, request.resume_token, self._progress) as watch:
            async for told in watch:
                yield messages.WatchActionsResponse(
                    action=self._shown(told.record), matches=told.matches, resume_token=told.token
                )

    async def ApproveAction(
        self, request: messages.ApproveActionRequest, _context: object
    ) -> messages.ApproveActionResponse:
        """Vote for it."""
        return messages.ApproveActionResponse(action=await self._actions.approve(request, callers.actor()))

    async def RejectAction(
        self, request: messages.RejectActionRequest, _context: object
    ) -> messages.RejectActionResponse:
        """Vote against it."""
        return messages.RejectActionResponse(action=await self._actions.reject(request, callers.actor()))

    async def BatchDecideActions(
        self, request: messages.BatchDecideActionsRequest, _context: object
    ) -> messages.BatchDecideActionsResponse:
        """Vote on many, with an answer each."""
        chosen = await selection.chosen(self._store, request)
        results = await self._actions.decide_many(request, callers.actor(), chosen.names)
        return messages.BatchDecideActionsResponse(results=results, remaining=chosen.remaining)

    async def CancelAction(
        self, request: messages.CancelActionRequest, _context: object
    ) -> messages.CancelActionResponse:
        """Call it off."""
        return messages.CancelActionResponse(action=await self._actions.cancel(request, callers.actor()))

    async def UndoAction(self, request: messages.UndoActionRequest, _context: object) -> messages.UndoActionResponse:
        """Ask for the reverse of what it did."""
        return messages.UndoActionResponse(action=await self._actions.undo(request, callers.actor()))

    async def RetryAction(self, request: messages.RetryActionRequest, _context: object) -> messages.RetryActionResponse:
        """Ask for the same once more."""
        return messages.RetryActionResponse(action=await self._actions.retry(request, callers.actor()))

    async def WriteOffAction(
        self, request: messages.WriteOffActionRequest, _context: object
    ) -> messages.WriteOffActionResponse:
        """Give up a target that will not answer."""
        return messages.WriteOffActionResponse(action=await self._actions.write_off(request, callers.actor()))

    async def ListActionItems(
        self, request: messages.ListActionItemsRequest, _context: object
    ) -> messages.ListActionItemsResponse:
        """Return a page of its items."""
        found = await self._known(request.name)
        size = size_of(request.page_size, resources.PAGE_OF_PARTS)
        page, token = await items.page(self._store, found.name, request.filter, size, request.page_token)
        return messages.ListActionItemsResponse(items=page, next_page_token=token)

    async def ListActionEvents(
        self, request: messages.ListActionEventsRequest, _context: object
    ) -> messages.ListActionEventsResponse:
        """Return a page of its history."""
        found = await self._known(request.name)
        wanted = parse("", resources.ENTRY).narrowed(resources.ENTRY["resource"], found.name)
        listing = Listing(EVENTS, wanted, Order((resources.ENTRY["number"],), descending=False))
        size = size_of(request.page_size, resources.PAGE_OF_PARTS)
        records, token = await listing.page(self._store, size, request.page_token)
        return messages.ListActionEventsResponse(events=map(action_event_of, records), next_page_token=token)

    async def _known(self, name: str) -> ActionRecord:
        found = await self._store.load(ACTIONS, name)
        if found is None:
            raise ActionUnknownError(f"there is no {name}")
        return found
