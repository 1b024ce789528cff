"""`EffectService`: the register of effects in force."""
# ruff: noqa: N802 - methods have the contract's names

from quell.actioncenter.v1 import effect_service_pb2 as messages
from quell.actioncenter.v1.effect_service_pb2_grpc import EffectServiceServicer

from quell_actioncenter.api import resources
from quell_actioncenter.domain.errors import EffectUnknownError
from quell_actioncenter.store.tables import EFFECTS
from quell_runtime.listing.filters import parse
from quell_runtime.listing.paging import Listing, order_of, size_of
from quell_runtime.store import Store

FIELDS = resources.EFFECT


class EffectServicer(EffectServiceServicer):
    """What is isolated, restricted, quarantined, blocked or turned off now."""

    def __init__(self, store: Store) -> None:
        """Read from the store."""
        self._store = store

    async def ListEffects(self, request: messages.ListEffectsRequest, _context: object) -> messages.ListEffectsResponse:
        """Return a page."""
        order = order_of(request.order_by, FIELDS, "start_time desc", FIELDS["name"])
        listing = Listing(EFFECTS, parse(request.filter, FIELDS), order)
        size = size_of(request.page_size, resources.PAGE)
        records, token = await listing.page(self._store, size, request.page_token)
        return messages.ListEffectsResponse(
            effects=[record.effect for record in records],
            next_page_token=token,
            total_size=await listing.total(self._store),
        )

    async def GetEffect(self, request: messages.GetEffectRequest, _context: object) -> messages.GetEffectResponse:
        """Return one."""
        found = await self._store.load(EFFECTS, request.name)
        if found is None:
            raise EffectUnknownError(f"there is no {request.name}, or it is no longer in force")
        return messages.GetEffectResponse(effect=found.effect)
