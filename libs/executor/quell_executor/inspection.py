"""Looking at what the journal says is in force, and reporting what is so."""

import structlog
from quell.remediation.v1 import outcome_pb2
from quell.warrant.v1 import warrant_pb2

from quell_executor.journal.records import NEVER, ORDERS, PLANS, Order, Stage
from quell_executor.outcome import effect_seen
from quell_executor.parts import decode, keys_of
from quell_executor.run import Kit
from quell_runtime.kinds import kinds
from quell_runtime.seams import micros

log = structlog.get_logger()


LET_GO = "WHERE owned = 0 AND stage = 'ended' AND over_time >= ? ORDER BY sequence"
NOT_IN_FORCE = outcome_pb2.EFFECT_STATE_NOT_IN_FORCE


class Inspection:
    """Probes effects in force after each connect, and tells what was let go since the last one.

    A centre that has started anew may be a copy that has it in force still: it is told all that was ever let go.
    """

    def __init__(self, kit: Kit) -> None:
        """Take what runs share."""
        self._kit = kit
        self._reports: dict[str, str] = {}
        self._told = NEVER
        self._gone: set[str] = set()

    async def report(self, *, anew: bool) -> None:
        """Report of every action that answers for something how that is, and of those that no longer do."""
        if anew:
            self._told = NEVER
            self._gone.clear()
        since, self._told = self._told, self._kit.journal.time.now()
        await self._report_in_force()
        for order in await self._kit.journal.store.select(ORDERS, LET_GO, (micros(since),)):
            if order.action not in self._gone:
                await self._report_let_go(order)

    async def tell(self, action: str) -> None:
        """Report of one action whose old receipt goes up once more, if what that says is so no longer."""
        order = await self._kit.journal.store.load(ORDERS, action)
        if order and order.stage is Stage.ENDED and not order.owned:
            await self._report_let_go(order)

    async def _report_in_force(self) -> None:
        for order in await self._kit.journal.store.select(ORDERS, "WHERE owned > 0 ORDER BY sequence"):
            try:
                effect = await self._look(order)
            except Exception:
                log.exception("probe_failed", action=order.action)
                effect = outcome_pb2.EFFECT_STATE_UNKNOWN
            if effect is not None:
                older = self._reports.get(order.action, "")
                self._reports[order.action] = await self._kit.journal.report_probe(order.action, effect, older)

    async def _report_let_go(self, order: Order) -> None:
        """Report of what was let go that it is so: a centre restored from an older copy still has it in force."""
        try:
            if await self._is_gone(order):
                older = self._reports.get(order.action, "")
                self._reports[order.action] = await self._kit.journal.report_let_go(order.action, older)
            self._gone.add(order.action)
        except Exception:
            log.exception("probe_failed", action=order.action)

    async def _is_gone(self, order: Order) -> bool:
        """Tell whether nothing is left of what an action made, and nobody else answers for it."""
        begun = await self._kit.journal.store.load(PLANS, order.action)
        takes_back = bool(warrant_pb2.Warrant.FromString(order.sealed.body).undo_of)
        if begun is None or takes_back or not kinds()[order.kind].undoable:
            return False
        plans = [part.plan for part in decode(begun.plan)]
        keys = keys_of(item for plan in plans for item in plan.items)
        async with self._kit.locks.hold(keys, 0):
            if await self._kit.resolver.rows(keys):
                return False
            effect = self._kit.resolver.effect(order.kind)
            found = [finding for plan in plans for finding in await effect.probe(plan)]
        return bool(found) and effect_seen(found) == NOT_IN_FORCE

    async def _look(self, order: Order) -> outcome_pb2.EffectState.ValueType | None:
        """Return how an action's effect is; None if it answers for nothing any more, or lies below another."""
        resolver = self._kit.resolver
        keys = keys_of((await resolver.owned_by(order.action)).items)
        # Nobody is in the middle of a change while we look, and nobody waits long for us.
        async with self._kit.locks.hold(keys, 0):
            plan = await resolver.owned_by(order.action)
            found = await resolver.effect(order.kind).probe(plan) if plan.items else ()
        return effect_seen(found) if found else None
