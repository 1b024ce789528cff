"""Forgetting what is over: actions that ended long ago, own nothing, and were acknowledged.

An action goes with its plan, its receipts and its items, once its warrant expired so long ago that nobody undoes it any
more; a warrant that came again then would be too late anyhow. What was let go of a little while ago stays, however old:
a centre restored from an older copy still has it in force, and asks. Fences stay for ever: they are small, and an older
order must never begin.
"""

from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from quell.warrant.v1 import receipt_pb2, warrant_pb2

from quell_executor.journal.endings import Journal
from quell_executor.journal.records import CALLED_OFF, NEVER, ORDERS, OUTGOING, PLANS, Order, Outgoing, Stage
from quell_runtime.seams import micros, when
from quell_runtime.store import Table, View

log = structlog.get_logger()
MOST = 100
"""Actions in one commit: nobody waits long for it."""
EVERY = timedelta(hours=1)
ENDED = (
    "WHERE stage = 'ended' AND owned = 0 AND over_time < ? AND sequence > ? AND sequence < ?"
    " AND action NOT IN (SELECT action FROM outgoing WHERE stored = 0) ORDER BY sequence LIMIT ?"
)
FORGOTTEN: tuple[Table[Any], ...] = (PLANS, CALLED_OFF, ORDERS)
REFUSED = (
    "WHERE stored = 1 AND sort = 'receipt' AND position > ?"
    " AND action NOT IN (SELECT action FROM warrants) ORDER BY position LIMIT ?"
)


class Pruning:
    """Forgets by and by, whenever the centre has acknowledged something."""

    def __init__(self, journal: Journal, keep: timedelta, spawn: Callable[[Coroutine[Any, Any, None]], object]) -> None:
        """Keep actions for a time after their warrants' expiry."""
        self._journal = journal
        self._keep = keep
        self._spawn = spawn
        self._next = NEVER

    def remind(self) -> None:
        """Forget what is over, if the last time was long ago."""
        now = self._journal.time.now()
        if now >= self._next:
            self._next = now + EVERY
            self._spawn(self.forget(now - self._keep))

    async def forget(self, before: datetime) -> None:
        """Forget what was over before a time."""
        last = 0
        # A sequence is never below the clock's microseconds when it was drawn: what is above can't be old enough.
        while orders := await self._journal.store.select(ORDERS, ENDED, (micros(before), last, micros(before), MOST)):
            last = orders[-1].sequence
            await self._forget([order for order in orders if _expire_time(order) < before], before)
        last = 0
        while rows := await self._journal.store.select(OUTGOING, REFUSED, (last, MOST)):
            last = rows[-1].position
            old = [row for row in rows if when(receipt_pb2.Receipt.FromString(row.body).time) < before]
            await self._drop_refusals(old)

    async def _forget(self, orders: Sequence[Order], before: datetime) -> None:
        def decide(view: View) -> None:
            for order in (view.get(ORDERS, order.action) for order in orders):
                if order and order.stage is Stage.ENDED and not order.owned and order.over_time < before:
                    sent = [view.get(OUTGOING, own_id) for own_id in order.answers]
                    if all(row is None or row.stored for row in sent):
                        _drop(view, order)

        if orders:
            sent = ((OUTGOING, own_id) for order in orders for own_id in order.answers)
            own = ((table, order.action) for table in FORGOTTEN for order in orders)
            await self._journal.durably(decide, [*sent, *own])
            log.info("actions_forgotten", number=len(orders), before=before.isoformat())

    async def _drop_refusals(self, rows: Sequence[Outgoing]) -> None:
        def decide(view: View) -> None:
            for row in (view.get(OUTGOING, row.id) for row in rows):
                if row and row.stored:
                    view.drop(OUTGOING, row.id)

        if rows:
            await self._journal.durably(decide, [(OUTGOING, row.id) for row in rows])


def _expire_time(order: Order) -> datetime:
    return when(warrant_pb2.Warrant.FromString(order.sealed.body).expire_time)


def _drop(view: View, order: Order) -> None:
    for own_id in order.answers:
        view.drop(OUTGOING, own_id)
    for table in FORGOTTEN:
        view.drop(table, order.action)
