"""Watching devices: first each that fits as it is now, then each change, the newest where it is too fast."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from quell_device.domain.records import DeviceRecord
from quell_device.store.tables import DEVICES
from quell_runtime.listing.filters import Filter
from quell_runtime.store import Change, Store

BATCH = 500


@dataclass(slots=True)
class Watch:
    """One watch. `_pending`: what changed and is not told yet, by id, and whether it fitted when it was told last."""

    store: Store
    wanted: Filter[DeviceRecord]
    _pending: dict[str, tuple[DeviceRecord, bool]] = field(default_factory=dict)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    async def told(self) -> AsyncGenerator[tuple[DeviceRecord, bool], None]:
        """Yield devices, for ever, each with whether it fits; what no longer does is told once."""
        stop = self.store.listen(self._hear)
        try:
            last = ""
            while found := await self._after(last):
                last = found[-1].id
                for record in found:
                    yield record, True
            while True:
                await self._woken.wait()
                self._woken.clear()
                while self._pending:
                    record, fitted = self._pending.pop(next(iter(self._pending)))
                    if self.wanted.fits(record) or fitted:
                        yield record, self.wanted.fits(record)
        finally:
            stop()

    async def _after(self, device: str) -> list[DeviceRecord]:
        tail = f"WHERE {self.wanted.sql} AND id > ? ORDER BY id LIMIT {BATCH}"
        return await self.store.select(DEVICES, tail, (*self.wanted.parameters, device))

    def _hear(self, changes: Sequence[Change[Any]]) -> None:
        for change in changes:
            if change.table is not DEVICES or change.after is None:
                continue
            before, after = change.before, change.after
            if before and replace(before, last_seen_time=after.last_seen_time) == after:
                continue
            fitted = before is not None and self.wanted.fits(before)
            _, fitted = self._pending.get(after.id, (after, fitted))
            self._pending[after.id] = (after, fitted)
            self._woken.set()
