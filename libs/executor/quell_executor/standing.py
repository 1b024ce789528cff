"""Effects that others can take away: looked at whenever the world may have moved, and made so again.

Nothing new is begun by that: an action that is in force, and that nobody has begun to let go of, is kept as its warrant
ordered it. So it is done while frozen too, and after the warrant's expiry; but not once its revert is due. After a
start the journal may be an older copy, which does not know what was let go of since: then what has lost its mark too is
not made so again, but reported as drifted.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from quell.remediation.v1 import item_pb2

from quell_executor import changing
from quell_executor.effect import Finding, Marked, Plan, Standing
from quell_executor.journal.afterwards import IN_FORCE, EffectState, Stood
from quell_executor.journal.records import OWNERS, REVERTS, Owner
from quell_executor.outcome import effect_seen, failure_of, settled
from quell_executor.parts import TO_DO, Part, because, keys_of
from quell_executor.progress import Silent
from quell_executor.run import Kit
from quell_runtime.store import Change

log = structlog.get_logger()
LONG = 24 * 3600.0
"""Seconds until the next look where nothing moves."""


@dataclass
class Watched:
    """One action whose effect is kept. `told` is how it is by the last report, `untold` what no report says yet.

    `doubtful`: since the start it was not seen in force, nor by its marks to be ours.
    """

    action: str
    doubtful: bool
    rebooted: bool
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    told: EffectState = IN_FORCE
    untold: Stood | None = None
    quiet_until: float = 0.0
    reports: tuple[str, ...] = ()


class Standings:
    """Keeps what stands."""

    def __init__(self, kit: Kit, spawn: Callable[[Coroutine[Any, Any, None]], object]) -> None:
        """Take what runs share, and how to start something detached."""
        self._kit = kit
        self._spawn = spawn
        self._pace = kit.settings.pace
        self._effects = {kind: effect for kind, effect in kit.offers.items() if isinstance(effect, Standing)}
        self._watched: dict[str, Watched] = {}

    async def load(self) -> None:
        """Look at all that is in force by the journal, and keep it from now on."""
        for kind in self._effects:
            for row in await self._kit.journal.store.select(OWNERS, "WHERE kind = ?", (kind,)):
                self._watch(row, started=True)

    def heard(self, changes: Sequence[Change[Any]]) -> None:
        """Learn from the store's commits what has come into force, and what no longer is."""
        for change in changes:
            for row in (change.before, change.after) if change.table is OWNERS else ():
                if isinstance(row, Owner):
                    self._watch(row)

    def _watch(self, row: Owner, *, started: bool = False) -> None:
        if row.kind not in self._effects or row.inherited:
            return
        if watched := self._watched.get(row.owner):
            watched.changed.set()
            return
        watched = self._watched[row.owner] = Watched(row.owner, started, started and self._kit.journal.rebooted)
        self._spawn(self._keep(watched, self._effects[row.kind]))

    async def _keep(self, watched: Watched, effect: Standing[Any]) -> None:
        """Keep one action's effect until nothing of it is in force any more."""
        loop = asyncio.get_running_loop()
        try:
            while (plan := await self._newest(watched)).items:
                looked, again = loop.time(), self._pace.again
                try:
                    if stood := await self._look(watched, effect, plan):
                        again = await self._tell(watched, stood)
                except Exception:
                    log.exception("standing_failed", action=watched.action)
                await self._moved(watched, effect, plan, again)
                await asyncio.sleep(max(0.0, looked + self._pace.look - loop.time()))
        finally:
            del self._watched[watched.action]

    async def _newest(self, watched: Watched) -> Plan:
        """Return what is to be kept; empty if it is nothing, also of what is told meanwhile."""
        while True:
            watched.changed.clear()
            plan = await self._kit.resolver.standing_of(watched.action)
            if not watched.changed.is_set():
                return plan

    async def _look(self, watched: Watched, effect: Standing[Any], plan: Plan) -> Stood | None:
        """Make so again what is no longer so; None: nothing of it is to be now."""
        # Whoever has an order goes before us.
        async with self._kit.locks.hold(keys_of(plan.items), 0):
            plan = await self._kit.resolver.standing_of(watched.action)
            if not plan.items or await self._is_due(watched.action):
                return None
            part = await changing.look(effect, plan)
            if watched.doubtful:
                part = await self._still_ours(effect, part)
            found, explained, watched.rebooted = effect_seen(part.findings), watched.rebooted, False
            if part.to_do.items:
                self._kit.seams.point("kit.fallen")
                try:
                    await changing.make(effect, (part,), Silent())
                except Exception:
                    log.exception("standing_failed", action=watched.action)
                (part,) = await changing.see(effect, (part,))
            failure = failure_of(settled((part,), because("EFFECT_NOT_OBSERVED")))
            now = effect_seen(part.findings)
            watched.doubtful = watched.doubtful and now != IN_FORCE
            return Stood(found, now, failure, explained)

    @staticmethod
    async def _still_ours(effect: Standing[Any], part: Part) -> Part:
        """Leave what has no mark any more as it is."""
        if not part.to_do.items or not isinstance(effect, Marked):
            return part
        marked = {mark.item.key for mark in await effect.marks()}
        lost = Finding(item_pb2.ITEM_STATE_CONFLICT, because("MARK_LOST", "its mark is gone: let go of meanwhile?"))
        return part.each(lambda item, found: found if item.key in marked or found.state != TO_DO else lost)

    async def _is_due(self, action: str) -> bool:
        """Tell whether its time is over."""
        revert = await self._kit.journal.store.load(REVERTS, action)
        return revert is not None and revert.time <= self._kit.journal.time.now()

    async def _tell(self, watched: Watched, stood: Stood) -> float:
        """Report what is news, but not more often than is bearable; return when to look again at the latest."""
        news = stood.found != stood.now or stood.now != watched.told
        if news and watched.untold is None:
            watched.untold = stood
        time = self._kit.journal.time.boot()
        if watched.untold and time >= watched.quiet_until:
            first = watched.untold
            told = Stood(first.found, stood.now, stood.failure, first.explained)
            watched.reports = await self._kit.journal.report_standing(watched.action, told, watched.reports)
            watched.told, watched.untold, watched.quiet_until = stood.now, None, time + self._pace.quiet
        if watched.untold:
            return min(self._pace.again, watched.quiet_until - time)
        return LONG if stood.now == IN_FORCE else self._pace.again

    async def _moved(self, watched: Watched, effect: Standing[Any], plan: Plan, again: float) -> None:
        """Wait until something may be otherwise."""
        moving = asyncio.create_task(effect.moved(plan))
        otherwise = asyncio.create_task(watched.changed.wait())
        try:
            done, _ = await asyncio.wait({moving, otherwise}, timeout=again, return_when=asyncio.FIRST_COMPLETED)
            if moving in done and (error := moving.exception()):
                log.error("watching_failed", action=watched.action, exc_info=error)
        finally:
            for task in (moving, otherwise):
                task.cancel()
            await asyncio.gather(moving, otherwise, return_exceptions=True)
