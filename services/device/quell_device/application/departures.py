"""Devices that leave our care: once their receipt for it is stored, their key counts no more."""

from collections.abc import Iterable

import structlog
from google.protobuf.message import DecodeError
from quell.executor.v1 import executor_service_pb2
from quell.remediation.v1 import outcome_pb2
from quell.warrant.v1 import receipt_pb2

from quell_device.application.registry import Registry
from quell_device.domain.artifacts import LEAVING, ErrandRecord
from quell_device.store.tables import ERRANDS
from quell_runtime.errors import QuellError
from quell_runtime.store import Change

LEFT = (outcome_pb2.EFFECT_STATE_IN_FORCE, outcome_pb2.EFFECT_STATE_ALREADY_IN_FORCE)
MOST = 10_000
_log = structlog.get_logger()


class Departures:
    """Knows which actions send a device away, and waits for their receipts to be stored."""

    def __init__(self, registry: Registry) -> None:
        """Begin with none; `begin` reads them."""
        self._registry = registry
        self._orders: dict[str, str] = {}
        self._leaving: set[str] = set()
        self._last_words: dict[str, str] = {}
        registry.store.listen(self._noted)

    async def begin(self) -> None:
        """Read which orders to leave were handed down before we started."""
        rows = await self._registry.store.select(ERRANDS, "WHERE kind = ? ORDER BY time DESC LIMIT ?", (LEAVING, MOST))
        for errand in rows:
            self._note(errand)

    def _noted(self, changes: Iterable[Change[ErrandRecord]]) -> None:
        for change in changes:
            if change.table is ERRANDS and change.after is not None and change.after.kind == LEAVING:
                self._note(change.after)

    def _note(self, errand: ErrandRecord) -> None:
        self._orders[errand.action] = errand.device
        self._leaving.add(errand.device)

    def heard(self, device: str, response: executor_service_pb2.WorkResponse) -> None:
        """Note a device's receipt for having left. What it says of another's order is none."""
        for sealed in response.receipts.receipts if device in self._leaving else ():
            try:
                receipt = receipt_pb2.Receipt.FromString(sealed.body)
            except DecodeError:
                continue
            if self._orders.get(receipt.action) == device and receipt.outcome.effect in LEFT:
                self._last_words[device] = receipt.id

    async def stored(self, ids: Iterable[str]) -> None:
        """Let those go whose receipt is stored, and who were told so."""
        told = set(ids)
        for device in [device for device, receipt in self._last_words.items() if receipt in told]:
            del self._last_words[device]
            try:
                await self._registry.offboard(device)
            except QuellError as error:
                _log.error("departure_not_stored", device=device, reason=error.reason)
