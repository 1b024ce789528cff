"""Looking at what the journal says is in force, and reporting what is so."""

import structlog
from quell.remediation.v1 import outcome_pb2

from quell_executor.journal.records import ORDERS, Order
from quell_executor.outcome import effect_seen
from quell_executor.parts import keys_of
from quell_executor.run import Kit

log = structlog.get_logger()


class Inspection:
    """Probes effects in force after each connect."""

    def __init__(self, kit: Kit) -> None:
        """Take what runs share."""
        self._kit = kit
        self._reports: dict[str, str] = {}

    async def report(self) -> None:
        """Report of every action that answers for something how that is."""
        for order in await self._kit.journal.store.select(ORDERS, "WHERE owned > 0 ORDER BY sequence"):
            try:
                effect = await self._look(order)
            except Exception:
                log.exception("probe_failed", action=order.action)
                effect = outcome_pb2.EFFECT_STATE_UNKNOWN
            if effect is not None:
                older = self._reports.get(order.action, "")
                self._reports[order.action] = await self._kit.journal.report_probe(order.action, effect, older)

    async def _look(self, order: Order) -> outcome_pb2.EffectState.ValueType | None:
        """Return how an action's effect is; None if it answers for nothing any more, or lies below another."""
        resolver = self._kit.resolver
        keys = keys_of((await resolver.owned_by(order.action)).items)
        # Nobody is in the middle of a change while we look, and nobody waits long for us.
        async with self._kit.locks.hold(keys, 0):
            plan = await resolver.owned_by(order.action)
            found = await resolver.effect(order.kind).probe(plan) if plan.items else ()
        return effect_seen(found) if found else None
