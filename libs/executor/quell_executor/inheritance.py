"""What is ours in the world and not in the journal: found by the effects' own marks, owned, and reported.

A journal that was lost, or is an older copy, does not know it. What is owned so is not made so again, and can't be
undone, since no warrant of it is known; a release by hand takes it back.
"""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import groupby
from operator import attrgetter

import structlog

from quell_executor.effect import Mark, Marked, Plan
from quell_executor.journal.ownership import CHANGED
from quell_executor.journal.records import OWNERS
from quell_executor.parts import keys_of
from quell_executor.resolving import newest_plan
from quell_executor.run import Kit

log = structlog.get_logger()
MOST = 500
"""Items of one probe and one commit."""


class Inheritance:
    """Compares marks with the journal."""

    def __init__(self, kit: Kit) -> None:
        """Take what runs share."""
        self._kit = kit
        self._reports: dict[str, str] = {}
        self._turn = asyncio.Lock()

    async def adopt(self) -> None:
        """Own what only marks tell of."""
        await self._each(self._adopt)

    async def report(self) -> None:
        """Own that, and report how all of it is now."""

        async def work(kind: str, effect: Marked) -> None:
            await self._adopt(kind, effect)
            await self._report(kind)

        await self._each(work)

    async def _each(self, work: Callable[[str, Marked], Awaitable[None]]) -> None:
        async with self._turn:
            for kind, effect in self._kit.offers.items():
                try:
                    if isinstance(effect, Marked):
                        await work(kind, effect)
                except Exception:
                    log.exception("marks_failed", kind=kind)

    async def _adopt(self, kind: str, effect: Marked) -> None:
        by_key = {mark.item.key: mark for mark in await effect.marks()}
        known = {row.key for row in await self._kit.resolver.rows(frozenset(by_key))}
        unknown = sorted((mark for key, mark in by_key.items() if key not in known), key=attrgetter("action"))
        for action, group in groupby(unknown, key=attrgetter("action")):
            batch = list(group)
            for start in range(0, len(batch), MOST):
                await self._own(kind, action, batch[start : start + MOST])

    async def _own(self, kind: str, action: str, marks: list[Mark]) -> None:
        items = tuple(mark.item for mark in marks)
        # What was let go of since the marks were read shows no change any more; whoever does that holds the keys.
        async with self._kit.locks.hold(keys_of(items), 0):
            plan = Plan(items, frozenset(), action=action)
            findings = await self._kit.resolver.effect(kind).probe(plan)
            found = [(mark, seen) for mark, seen in zip(marks, findings, strict=True) if seen.state in CHANGED]
            await self._kit.journal.adopt(kind, found)

    async def _report(self, kind: str) -> None:
        tail = 'WHERE kind = ? AND inherited > 0 ORDER BY owner, "key"'
        rows = await self._kit.journal.store.select(OWNERS, tail, (kind,))
        for start in range(0, len(rows), MOST):
            batch = rows[start : start + MOST]
            for owner, group in groupby(batch, key=attrgetter("owner")):
                await self._look_at(kind, owner, frozenset(row.key for row in group))

    async def _look_at(self, kind: str, owner: str, keys: frozenset[str]) -> None:
        async with self._kit.locks.hold(keys, 0):
            rows = [row for row in await self._kit.resolver.rows(keys) if row.inherited and row.owner == owner]
            if rows:
                findings = await self._kit.resolver.effect(kind).probe(newest_plan(owner, rows))
                found = list(zip(rows, findings, strict=True))
                await self._kit.journal.report_inherited(found, self._reports)
