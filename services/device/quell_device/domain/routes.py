"""Whose matter a message is: which device an action, a question or an id belongs to.

An agent speaks for its own device only, so what it says about another's action or question goes nowhere. Nothing here
is durable: what is forgotten is asked or sent again on the next stream.
"""

from collections import OrderedDict
from collections.abc import Iterable

from google.protobuf.message import DecodeError
from quell.executor.v1 import executor_service_pb2, plan_pb2
from quell.warrant.v1 import effect_report_pb2, preview_pb2, receipt_pb2, seal_pb2

MOST = 20_000
"""Actions that are remembered; the Action Center has fewer without a receipt."""


UUID_LENGTH = 36


class Routes:
    """Which device an action was handed to."""

    def __init__(self, most: int = MOST) -> None:
        """Remember the newest `most` of them."""
        self._most = most
        self._device: OrderedDict[str, str] = OrderedDict()

    def handed(self, action: str, device: str) -> None:
        """Note that an action was handed to a device."""
        self._device[action] = device
        self._device.move_to_end(action)
        if len(self._device) > self._most:
            self._device.popitem(last=False)

    def of(self, action: str) -> str:
        """Return the device, or an empty text if it is not known."""
        return self._device.get(action, "")


def allowed(
    response: executor_service_pb2.WorkResponse, device: str, queries: set[str], routes: Routes
) -> executor_service_pb2.WorkResponse | None:
    """Return what of an agent's message may go up, or None. `queries` are the questions that it was asked."""
    match response.WhichOneof("message"):
        case "receipts" | "effects":
            return response
        case "plan" if response.plan.id in queries:
            if response.plan.WhichOneof("end"):
                queries.remove(response.plan.id)
            return response
        case "accepted":
            actions = [action for action in response.accepted.actions if routes.of(action) == device]
            accepted = executor_service_pb2.Accepted(actions=actions)
            return executor_service_pb2.WorkResponse(accepted=accepted) if actions else None
        case "items":
            # After a restart we do not know the action yet; whose the items are, the sealed receipt proves.
            chunks = [chunk for chunk in response.items.chunks if routes.of(chunk.action) in ("", device)]
            items = executor_service_pb2.ItemChunks(chunks=chunks)
            return executor_service_pb2.WorkResponse(items=items) if chunks else None
        case "progress":
            reports = [report for report in response.progress.reports if routes.of(report.action) == device]
            progress = executor_service_pb2.ProgressReports(reports=reports)
            return executor_service_pb2.WorkResponse(progress=progress) if reports else None
        case _:
            return None


def ids_of(response: executor_service_pb2.WorkResponse) -> list[str]:
    """Return the ids that the agent waits to hear are stored; other words than ids are not remembered for it."""
    found = [
        *(chunk.id for chunk in response.items.chunks),
        *_ids(receipt_pb2.Receipt, response.receipts.receipts),
        *_ids(effect_report_pb2.EffectReport, response.effects.reports),
    ]
    return [each for each in found if len(each) == UUID_LENGTH]


def _ids(
    message: type[receipt_pb2.Receipt] | type[effect_report_pb2.EffectReport], seals: Iterable[seal_pb2.Sealed]
) -> list[str]:
    found = []
    for sealed in seals:
        try:
            found.append(message.FromString(sealed.body).id)
        except DecodeError:
            # It goes up as it is: what it is worth, the Action Center judges.
            continue
    return found


def not_seen(query: str) -> executor_service_pb2.WorkResponse:
    """Return the answer to a question for a device that is away."""
    summary = plan_pb2.PlanSummary(basis=preview_pb2.BASIS_NOT_SEEN)
    return executor_service_pb2.WorkResponse(plan=plan_pb2.PlanAnswer(id=query, summary=summary))
