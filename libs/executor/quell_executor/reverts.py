"""Reverts by themselves: from the own journal, so that they come also when nobody can be reached.

By time, as a warrant ordered; or since an action's receipt was not acknowledged in time (dead-man): it may have cut off
its own way to the centre.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog

from quell_executor import changing
from quell_executor.journal.records import DEAD_MEN, ORDERS, REVERTS, Revert
from quell_executor.progress import Silent
from quell_executor.run import Kit
from quell_runtime.store import Change, Table

log = structlog.get_logger()
LOOK = 30.0
"""Seconds after which clocks are looked at again: a wall clock may jump."""
AGAIN = timedelta(minutes=1)
KINDS = (REVERTS, DEAD_MEN)


class Reverts:
    """Takes effects back when their time is over, by the wall clock or by the time since boot, whichever is first."""

    def __init__(self, kit: Kit, spawn: Callable[[Coroutine[Any, Any, None]], object]) -> None:
        """Take what runs share, and how to start something detached."""
        self._kit = kit
        self._spawn = spawn
        self._due: dict[tuple[Table[Revert], str], tuple[datetime, float]] = {}
        self._changed = asyncio.Event()

    async def load(self) -> None:
        """Read what is due; after a restart the wall clock alone says how long it still is."""
        for due in KINDS:
            for revert in await self._kit.journal.store.select(due):
                self._plan(due, revert.action, revert.time)

    def heard(self, changes: Sequence[Change[Any]]) -> None:
        """Learn from the store's commits what is to be reverted, and what no longer."""
        for change in changes:
            if change.table not in KINDS:
                continue
            if not isinstance(change.after, Revert):
                self._due.pop((change.table, str(change.key)), None)
            elif not change.after.begun:
                self._plan(change.table, change.after.action, change.after.time)

    def _plan(self, due: Table[Revert], action: str, time: datetime) -> None:
        left = (time - self._kit.journal.time.now()).total_seconds()
        self._due[due, action] = (time, self._kit.journal.time.boot() + left)
        self._changed.set()

    async def run(self) -> None:
        """Revert what is due, for ever."""
        while True:
            self._changed.clear()
            now, boot = self._kit.journal.time.now(), self._kit.journal.time.boot()
            for (due, action), (time, since_boot) in list(self._due.items()):
                if now >= time or boot >= since_boot:
                    del self._due[due, action]
                    self._spawn(self._revert(due, action))
            lefts = [min((time - now).total_seconds(), since_boot - boot) for time, since_boot in self._due.values()]
            try:
                async with asyncio.timeout(min([*lefts, LOOK]) if lefts else None):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _revert(self, due: Table[Revert], action: str) -> None:
        try:
            await self._take_back(due, action)
        except Exception:
            log.exception("revert_failed", action=action)
            self._plan(due, action, self._kit.journal.time.now() + AGAIN)

    async def _take_back(self, due: Table[Revert], action: str) -> None:
        journal, resolver = self._kit.journal, self._kit.resolver
        order = await journal.store.load(ORDERS, action)
        if order is None:
            return
        keys = (await resolver.undo(action, order.kind)).keys
        async with self._kit.locks.hold(keys, order.sequence):
            resolved = await resolver.undo(action, order.kind)
            parts = tuple([await changing.look(resolved.effect, plan) for plan in resolved.plans])
            if not await journal.begin_revert(due, action, parts):
                return
            await changing.make(resolved.effect, parts, Silent())
            self._kit.seams.point("kit.reverted")
            await journal.end_revert(due, action, await changing.see(resolved.effect, parts))
