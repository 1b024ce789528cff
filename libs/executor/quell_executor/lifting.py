"""Lifting what is in force here, for an order that ends all of it: a machine that leaves our care."""

import asyncio
import contextlib
import json
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from quell_executor.journal.records import OWNERS, REVERTS, Owner, Revert
from quell_runtime.store import Change, Store, View

NOW = datetime.fromtimestamp(0, UTC)
"""A time that is over by every clock."""


class Lifting:
    """Over the journal: what stands, and having it taken back as if its time were over."""

    def __init__(self, journal: Store, kinds: Collection[str], within: float) -> None:
        """Lift effects of these kinds, within so many seconds."""
        self._journal = journal
        self._kinds = json.dumps(sorted(kinds))
        self._within = within
        self._changed = asyncio.Event()
        journal.listen(self._heard)

    def _heard(self, changes: Sequence[Change[Any]]) -> None:
        if any(change.table is OWNERS for change in changes):
            self._changed.set()

    async def standing(self) -> list[Owner]:
        """Return what is in force."""
        return await self._journal.select(OWNERS, "WHERE kind IN (SELECT value FROM json_each(?))", (self._kinds,))

    async def lift(self) -> None:
        """Have all of it taken back by its own reverts, which report it; return when nothing stands, or time is over.

        What was inherited has no action that could be reverted: it stays until it is released by hand.
        """
        owners = sorted({row.owner for row in await self.standing() if not row.inherited})

        def decide(view: View) -> None:
            for owner in owners:
                revert = view.get(REVERTS, owner)
                if revert is None or not revert.begun:
                    view.put(REVERTS, Revert(owner, NOW))

        self._changed.clear()
        await self._journal.change(decide, [(REVERTS, owner) for owner in owners])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._within):
                while await self.standing():
                    await self._changed.wait()
                    self._changed.clear()
