"""The fence: what may be begun, decided and journaled with its plan in one transaction."""

from collections.abc import Iterable
from dataclasses import dataclass

from quell.remediation.v1 import failure_pb2, item_pb2
from quell.warrant.v1 import receipt_pb2

from quell_executor.effect import Finding, PlannedItem
from quell_executor.journal.arrivals import Arrivals
from quell_executor.journal.ownership import begin_to_let_go, no_longer_let_go
from quell_executor.journal.records import CALLED_OFF, CAPS, FENCES, ORDERS, PLANS, Begun, Cap, Fence, Order, Stage
from quell_executor.outcome import refused
from quell_executor.parts import Parts, because, decode, encode, keys_of
from quell_executor.warrant import VerifiedWarrant
from quell_runtime.store import View, replace


class FrozenError(Exception):
    """Effects of this kind may not be begun now."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """What is about to be begun: its parts as they were found, and every key and name that it fences."""

    verified: VerifiedWarrant
    parts: Parts
    names: frozenset[str]

    @property
    def keys(self) -> set[str]:
        """What a lower sequence may not begin on from now on: what was named, and what was found."""
        return {item.key for part in self.parts for item in part.plan.items} | self.names


class Beginnings(Arrivals):
    """Begins what may be begun."""

    async def begin(self, beginning: Beginning) -> Parts | None:
        """Fence and journal the plan; return what is to be done, or None if the action has its receipt instead.

        Raises:
            FrozenError: Not now.

        """
        action, kind = beginning.verified.action, beginning.verified.kind.name
        looked_at = keys_of(item for part in beginning.parts for item in part.plan.items) | beginning.names
        return await self.durably(
            lambda view: self._begin(view, beginning),
            [(ORDERS, action), (CALLED_OFF, action), (CAPS, kind), *((FENCES, key) for key in looked_at)],
        )

    def _begin(self, view: View, beginning: Beginning) -> Parts | None:
        verified = beginning.verified
        order = self._due(view, verified)
        if order is None:
            return None
        if not verified.lets_go and self.frozen(order.kind):
            raise FrozenError
        parts, newer = self._fenced(view, beginning)
        self._raise_fences(view, beginning.keys, order)
        if newer and all(_superseded(finding) for part in parts for finding in part.findings):
            came_first = receipt_pb2.DISPOSITION_SUPERSEDED
            end = receipt_pb2.Receipt(action=order.action, disposition=came_first, superseded_by=newer.action)
        elif not verified.lets_go and self._over_cap(view, order.kind):
            full = failure_pb2.Failure(reason="CAP_EXCEEDED", message="its own limit of the hour", retryable=True)
            end = refused(order.action, full)
        else:
            view.put(PLANS, Begun(order.action, encode(parts), self.time.now()))
            view.put(ORDERS, replace(order, stage=Stage.BEGUN))
            begin_to_let_go(view, parts, order.action)
            self._know(view)
            return parts
        self._answer(view, end)
        return None

    async def unbegin(self, action: str) -> None:
        """Note that nothing came of what was begun: it is only accepted again."""

        def decide(view: View) -> None:
            order = view.need(ORDERS, action)
            if order.stage is Stage.BEGUN:
                view.put(ORDERS, replace(order, stage=Stage.ACCEPTED))
                no_longer_let_go(view, decode(view.need(PLANS, action).plan), action)
                view.drop(PLANS, action)

        await self.durably(decide, [(ORDERS, action), (PLANS, action)])

    def _due(self, view: View, verified: VerifiedWarrant) -> Order | None:
        """Return what may begin now; what is canceled or too late ends here."""
        order = view.get(ORDERS, verified.action)
        # It may have waited for so long that what was known of its end is forgotten.
        if order is None or order.stage is Stage.ENDED:
            return None
        end = self._untimely(view, verified.warrant)
        if order.canceled:
            end = receipt_pb2.Receipt(action=order.action, disposition=receipt_pb2.DISPOSITION_CANCELED)
        if end:
            self._answer(view, end)
        return None if end else order

    def _fenced(self, view: View, beginning: Beginning) -> tuple[Parts, Fence | None]:
        """Mark the items that a newer action answers for; return the newest, of the names if nothing was found."""
        sequence = beginning.verified.warrant.sequence
        items = [item for part in beginning.parts for item in part.plan.items]
        met: list[Fence] = []

        def mark(item: PlannedItem, finding: Finding) -> Finding:
            newer = self._newest(view, {item.key, *item.names}, sequence)
            if newer is None or finding.state == item_pb2.ITEM_STATE_KEPT:
                return finding
            met.append(newer)
            return Finding(item_pb2.ITEM_STATE_SUPERSEDED, because("SUPERSEDED", f"by {newer.action}"))

        parts = tuple(part.each(mark) for part in beginning.parts)
        if not items and (newer := self._newest(view, beginning.names, sequence)):
            met.append(newer)
        return parts, max(met, key=lambda fence: fence.sequence, default=None)

    @staticmethod
    def _newest(view: View, keys: Iterable[str], sequence: int) -> Fence | None:
        fences = [fence for key in keys if (fence := view.get(FENCES, key)) and fence.sequence > sequence]
        return max(fences, key=lambda fence: fence.sequence, default=None)

    @staticmethod
    def _raise_fences(view: View, keys: Iterable[str], order: Order) -> None:
        for key in keys:
            fence = view.get(FENCES, key)
            if fence is None or fence.sequence < order.sequence:
                view.put(FENCES, Fence(key, order.sequence, order.action))

    def _over_cap(self, view: View, kind: str) -> bool:
        most = self._settings.max_effects_per_hour.get(kind)
        if most is None:
            return False
        hour = int(self.time.now().timestamp()) // 3600
        cap = view.get(CAPS, kind)
        begun = cap.begun if cap and cap.hour == hour else 0
        view.put(CAPS, Cap(kind, hour, min(begun + 1, most)))
        return begun >= most

    async def begin_reading(self, verified: VerifiedWarrant) -> bool:
        """Begin what changes nothing, which nothing fences; False if the action has its receipt instead."""

        def decide(view: View) -> bool:
            order = self._due(view, verified)
            if order is None:
                return False
            view.put(ORDERS, replace(order, stage=Stage.BEGUN))
            return True

        return await self.durably(decide)

    async def superseded(self, order: Order, parts: Parts) -> frozenset[str]:
        """Return the item keys of a begun plan of which a newer action answers by now."""

        def decide(view: View) -> frozenset[str]:
            items = [item for part in parts for item in part.plan.items]
            view.expect((FENCES, key) for key in keys_of(items))
            off = view.get(CALLED_OFF, order.action)
            return frozenset(
                item.key
                for item in items
                if off or self._newest(view, {item.key, *item.names}, order.sequence) is not None
            )

        return await self.durably(decide)


def _superseded(finding: Finding) -> bool:
    return finding.state == item_pb2.ITEM_STATE_SUPERSEDED
