"""`ControlService`: the brakes."""
# ruff: noqa: N802 - methods have the contract's names

from quell.actioncenter.v1 import control_service_pb2 as messages
from quell.actioncenter.v1.control_service_pb2_grpc import ControlServiceServicer

from quell_actioncenter.api import callers
from quell_actioncenter.application.controls import Controls


class ControlServicer(ControlServiceServicer):
    """Freeze, and what is left of the budgets."""

    def __init__(self, controls: Controls) -> None:
        """Ask the use cases."""
        self._controls = controls

    async def Freeze(self, request: messages.FreezeRequest, _context: object) -> messages.FreezeResponse:
        """Stop new effects."""
        return messages.FreezeResponse(freeze=await self._controls.freeze(request, callers.actor()))

    async def Unfreeze(self, request: messages.UnfreezeRequest, _context: object) -> messages.UnfreezeResponse:
        """Vote to lift the freeze."""
        return messages.UnfreezeResponse(freeze=await self._controls.unfreeze(request, callers.actor()))

    async def GetFreeze(self, _request: messages.GetFreezeRequest, _context: object) -> messages.GetFreezeResponse:
        """Return the freeze as it is."""
        return messages.GetFreezeResponse(freeze=await self._controls.get_freeze())

    async def ListBudgets(
        self, _request: messages.ListBudgetsRequest, _context: object
    ) -> messages.ListBudgetsResponse:
        """Return the budgets."""
        return messages.ListBudgetsResponse(budgets=await self._controls.list_budgets())
