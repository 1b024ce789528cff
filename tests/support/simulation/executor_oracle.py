"""What an executor must keep to, looked at in each commit of its journal and each change of its world."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from quell.journal.v1 import plan_pb2
from quell.remediation.v1 import item_pb2, outcome_pb2
from quell.warrant.v1 import freeze_pb2, receipt_pb2, warrant_pb2

from quell_executor.journal.records import (
    CALLED_OFF,
    DEAD_MEN,
    KNOWN,
    ORDERS,
    OUTGOING,
    OWNERS,
    PLANS,
    REVERTS,
    Begun,
    Order,
    Sort,
    Stage,
)
from quell_runtime.kinds import kind_of, order_of
from quell_runtime.seams import when
from quell_runtime.store import Statement
from simulation.mirror import JOURNAL, Mirror
from simulation.nodes import ExecutorNode
from simulation.times import NodeClock
from simulation.world import NETWORK, OURS, Change, World, is_file

SLACK = timedelta(seconds=2)
"""Between deciding and what is seen of it lie a few waits for the disk."""
LIVED_S, UNHEARD_S = 100.0, 1200.0
"""How long a life and a wait must last so that it is surely due: a clock may be so wrong, and to take back may fail."""
WRONG = timedelta(minutes=2)
"""How far a clock is ahead at most."""
TO_DO = item_pb2.ITEM_STATE_PLANNED
NOT_OURS = (item_pb2.ITEM_STATE_SUPERSEDED, item_pb2.ITEM_STATE_KEPT)


@dataclass
class ExecutorOracle:
    """Checks one executor. `sent` are the warrants that the centre has sent to anybody, by action."""

    violated: Callable[[int, str], None]
    node: ExecutorNode
    clock: NodeClock
    frozen: Callable[[str], bool]
    """Whether the centre has frozen a kind."""
    sent: dict[str, warrant_pb2.Warrant]
    receipts: dict[str, receipt_pb2.Receipt]
    mirror: Mirror = field(default_factory=lambda: Mirror(JOURNAL))
    begun_in: dict[str, int] = field(default_factory=dict)
    """In which life an action was begun."""
    made: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often an action changed an item."""
    base: dict[str, str] = field(default_factory=dict)
    """What an item was before the first change that is not taken back."""
    late: set[str] = field(default_factory=set)
    """Actions whose plan was decided in time and journaled after their end."""
    back: set[str] = field(default_factory=set)
    """Items that were taken back since they were last changed for an order."""
    unheard: dict[str, float] = field(default_factory=dict)
    """Actions that may have cut off their own receipt, since when that waits to be acknowledged."""
    lost: set[str] = field(default_factory=set)
    """Items that were changed by what an older copy of the journal does not know."""

    def stored(self, writes: Sequence[Statement]) -> None:
        """Look at a commit."""
        written = self.mirror.read(writes)
        orders = self.mirror.of(ORDERS)
        for one in written:
            if one.table is PLANS and one.record and one.key in orders:
                self._begun(orders[one.key], one.record)
        before = dict(orders)
        under_way = {action for action, order in orders.items() if order.stage is Stage.BEGUN}
        self.mirror.put(written)
        for one in written:
            if one.table is ORDERS and one.record is None and (gone := before.get(one.key)):
                self._forgotten(gone)
            if one.table is OUTGOING and one.record and one.record.sort is Sort.RECEIPT:
                receipt = receipt_pb2.Receipt.FromString(one.record.body)
                self.receipts[receipt.id] = receipt
                if receipt.action in under_way:
                    self._as_it_is(receipt)
                    self._may_be_unheard(receipt)
                if one.record.stored:
                    self.unheard.pop(receipt.action, None)

    def _forgotten(self, order: Order) -> None:
        """Check that nothing is forgotten that may still count."""
        sent = [row for row in self.mirror.of(OUTGOING).values() if row.action == order.action]
        waiting = [row for row in sent if not row.stored and row.sort is not Sort.REPORT]
        if order.owned or order.stage is not Stage.ENDED or waiting:
            self.violated(3, f"{order.action} is forgotten, and is not over")

    def _may_be_unheard(self, receipt: receipt_pb2.Receipt) -> None:
        """Note an isolation that was to be taken back if nobody hears of it."""
        order = self.mirror.of(ORDERS)[receipt.action]
        warrant = warrant_of(order)
        made = order.kind == "isolate_device" and not lets_go(warrant) and receipt.outcome.items.done_items
        if made and not warrant.remediation.isolate_device.hold:
            self.unheard[receipt.action] = self.clock.lapse.elapsed()

    def look(self) -> None:
        """Check that no isolation of which nobody has heard is in force for long."""
        owner = self.mirror.of(OWNERS).get(NETWORK)
        since = self.unheard.get(owner.owner) if owner else None
        if owner is None or since is None or owner.ownership.let_go_by:
            return
        lived = asyncio.get_running_loop().time() - self.node.began
        if self.node.serves and lived > LIVED_S and self.clock.lapse.elapsed() - since > UNHEARD_S:
            self.violated(4, f"{owner.owner} is in force, and nobody has heard of it")

    def _begun(self, order: Order, begun: Begun) -> None:
        """Check that what is begun is in time, not frozen, and the newest of what it is about."""
        self.begun_in[order.action] = self.node.lives
        warrant = warrant_of(order)
        # Time may pass between the decision and its commit; then no change may follow.
        late = self.clock.now() > when(warrant.expire_time) + SLACK
        (self.late.add if late else self.late.discard)(order.action)
        if begun.begin_time > when(warrant.expire_time) + SLACK:
            self.violated(4, f"{order.action} was begun after it expired")
        # What it has heard it may know before it is written down: what counts is what holds here and there.
        if not lets_go(warrant) and self._frozen(order.kind) and self.frozen(order.kind):
            self.violated(4, f"{order.action} was begun while frozen")
        for key, found, _ in items(begun.plan):
            if found == TO_DO and (newer := self._newer(order, key)):
                self.violated(4, f"{order.action} was begun on {key} after {newer.action}")

    def _frozen(self, kind: str) -> bool:
        known = self.mirror.of(KNOWN).get(1)
        if known is None or known.freeze is None:
            return False
        freeze = freeze_pb2.Freeze.FromString(known.freeze.body)
        return freeze.frozen and (not freeze.kinds or kind in freeze.kinds)

    def _newer(self, order: Order, key: str) -> Order | None:
        """Return a newer order that was begun and is about the same thing."""
        plans = self.mirror.of(PLANS)
        newer = (one for one in self.mirror.of(ORDERS).values() if one.sequence > order.sequence)
        return next((one for one in newer if one.action in plans and self._is_about(one, key)), None)

    def _is_about(self, order: Order, key: str) -> bool:
        planned = items(self.mirror.of(PLANS)[order.action].plan)
        if any(one == key and found not in NOT_OURS for one, found, _ in planned):
            return True
        warrant = warrant_of(order)
        return not warrant.undo_of and means(warrant, key)

    def _as_it_is(self, receipt: receipt_pb2.Receipt) -> None:
        """Check that a receipt says what is so at that moment."""
        if receipt.outcome.effect != outcome_pb2.EFFECT_STATE_IN_FORCE:
            return
        begun = self.mirror.of(PLANS).get(receipt.action)
        things = self.node.world.things
        for key, found, reverts in items(begun.plan) if begun else ():
            if found == TO_DO and key in things and things[key].startswith(OURS) == reverts:
                self.violated(5, f"{receipt.action} is told to be in force; {key} is not so")

    def changed(self, _world: World, change: Change) -> None:
        """Look at a change of the world."""
        for action in self.late:
            if self._planned(action, change.key, reverts=change.reverts):
                self.violated(4, f"{change.key} was changed for {action}, which was journaled after it expired")
        (self._taken_back if change.reverts else self._made)(change)

    def _made(self, change: Change) -> None:
        action = f"actions/{change.action}"
        order = self.mirror.of(ORDERS).get(action)
        if order is None or action not in self.sent:
            self.violated(1, f"{change.key} was changed for {action}, for which no warrant was sent")
            return
        if order.stage is Stage.ENDED:
            self._made_again(order, change)
            return
        self.back.discard(change.key)
        if order.stage is not Stage.BEGUN or not self._planned(action, change.key, reverts=False):
            self.violated(1, f"{change.key} was changed for {action} without a journaled plan")
        others = [key for name, key in self.made if name == action]
        self.made[action, change.key] += 1
        if self.made[action, change.key] > 1:
            self.violated(2, f"{action} changed {change.key} again")
        if newer := self._newer(order, change.key):
            self.violated(4, f"{action} changed {change.key} after {newer.action}")
        anew = self.begun_in.get(action) != self.node.lives and not others
        if anew and self.clock.now() > when(warrant_of(order).expire_time) + SLACK:
            self.violated(4, f"{action} changed {change.key} after it expired")
        if not change.before.startswith(OURS):
            self.base[change.key] = change.before

    def _made_again(self, order: Order, change: Change) -> None:
        """Check that what others took away is in force by the journal, and that nobody has begun to let go of it."""
        owner, revert = self.mirror.of(OWNERS).get(change.key), self.mirror.of(REVERTS).get(order.action)
        if order.kind != "isolate_device" or owner is None or owner.owner != order.action or owner.inherited:
            self.violated(1, f"{change.key} was changed for {order.action}, which had ended")
        if change.before.startswith(OURS):
            self.violated(2, f"{order.action} changed {change.key} again, which nobody had taken away")
        if change.key in self.back:
            self.violated(4, f"{change.key} was made so again for {order.action} after it was let go of")
        plans = self.mirror.of(PLANS)
        newer = (one for one in self.mirror.of(ORDERS).values() if one.sequence > order.sequence)
        for one in newer:
            if one.action in plans and lets_go(warrant_of(one)) and self._is_about(one, change.key):
                self.violated(4, f"{change.key} was made so again after {one.action} had begun to let go of it")
        if revert and max(self.clock.now(), revert.time) - revert.time > WRONG:
            self.violated(4, f"{change.key} was made so again for {order.action} after its time")

    def _taken_back(self, change: Change) -> None:
        self.back.add(change.key)
        if not change.before.startswith(OURS):
            self.violated(2, f"{change.key} was taken back again")
        elif change.key not in self.lost and change.after != self.base.get(change.key):
            self.violated(6, f"{change.key} was {self.base.get(change.key)!r} and came back as {change.after!r}")
        under_way = [order for order in self.mirror.of(ORDERS).values() if order.stage is Stage.BEGUN]
        acting = [order for order in under_way if self._planned(order.action, change.key, reverts=True)]
        if not acting and not self._due(change.key) and not self._gives_way(change):
            self.violated(1, f"{change.key} was taken back, and nobody had ordered that")
        for order in acting:
            newer = self._newer(order, change.key)
            if newer and not lets_go(warrant_of(newer)):
                self.violated(4, f"{order.action} took {change.key} back after {newer.action}")

    def _planned(self, action: str, key: str, *, reverts: bool) -> bool:
        begun = self.mirror.of(PLANS).get(action)
        found = items(begun.plan) if begun else ()
        return any((one, state, back) == (key, TO_DO, reverts) for one, state, back in found)

    def _due(self, key: str) -> bool:
        """Tell whether the warrant of who answers for it ordered it to come back by now."""
        owner = self.mirror.of(OWNERS).get(key)
        due = [self.mirror.of(table).get(owner.owner) for table in (REVERTS, DEAD_MEN)] if owner else []
        # By whichever of its clocks comes first, and these are at most so wrong.
        latest = max(self.clock.now(), self.clock.lapse.now()) + WRONG
        return any(revert and revert.time <= latest for revert in due)

    def _gives_way(self, change: Change) -> bool:
        """Tell whether an action that a crash left half-way takes back what a newer one answers for."""
        action = f"actions/{change.action}"
        order = self.mirror.of(ORDERS).get(action)
        if order is None or order.stage is not Stage.BEGUN or not self._planned(action, change.key, reverts=False):
            return False
        return action in self.mirror.of(CALLED_OFF) or self._newer(order, change.key) is not None

    def restored(self) -> None:
        """Forget what an older copy can't know."""
        self.lost.update(key for key, value in self.node.world.things.items() if value.startswith(OURS))
        orders = self.mirror.of(ORDERS)
        self.unheard.clear()
        for action, key in list(self.made):
            if action not in orders or orders[action].stage is not Stage.ENDED:
                self.lost.add(key)
                del self.made[action, key]


def warrant_of(order: Order) -> warrant_pb2.Warrant:
    """Return the warrant of an order."""
    return warrant_pb2.Warrant.FromString(order.sealed.body)


def items(plan: plan_pb2.Plan) -> Iterator[tuple[str, int, bool]]:
    """Yield the item keys of a journaled plan, as they were found, and whether they are taken back."""
    for part in plan.parts:
        for item in part.items:
            yield item.key, item.found, part.reverts


def lets_go(warrant: warrant_pb2.Warrant) -> bool:
    """Tell whether a warrant takes back."""
    return bool(warrant.undo_of) or kind_of(warrant.remediation).release


def means(warrant: warrant_pb2.Warrant, key: str) -> bool:
    """Tell whether an order, by what it names alone, is about a thing."""
    order: Any = order_of(warrant.remediation)
    match kind_of(warrant.remediation).name:
        case "block_url" | "unblock_url":
            return key == f"email.url:{order.pattern}"
        case "isolate_device" | "release_device_from_isolation":
            return key == NETWORK
        case "stop_and_quarantine":
            return is_file(order.file, key)
        case "release_from_quarantine":
            return bool(order.sha256) and key.startswith(f"device.file:{order.sha256}:")
    return False
