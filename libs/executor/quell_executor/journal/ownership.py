"""Who answers for an item. The newest owns; what the first of a row replaced is what undo brings back.

These run inside the journal's decisions, at an action's end: ownership follows what the probe saw, not what was meant.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from quell.journal.v1 import plan_pb2
from quell.remediation.v1 import item_pb2

from quell_executor.effect import Finding, PlannedItem
from quell_executor.journal.records import DEAD_MEN, ORDERS, OWNERS, REVERTS, Order, Owner
from quell_executor.parts import Part, Parts, encode_item
from quell_runtime.store import View, replace

CHANGED = (item_pb2.ITEM_STATE_DONE, item_pb2.ITEM_STATE_FAILED)
"""What we have changed, as the probe found it. An item that is neither as before nor as ordered can be undone too."""


@dataclass(slots=True)
class Moves:
    """How many items each action has come to answer for, or no longer does."""

    by_action: dict[str, int] = field(default_factory=dict)
    inherited: list[Owner] = field(default_factory=list)
    """Rows that were known by their marks alone, and are over: they are in no count."""

    def add(self, action: str, number: int) -> None:
        """Count."""
        self.by_action[action] = self.by_action.get(action, 0) + number

    def leave(self, row: Owner) -> None:
        """Count that a row is no longer its owner's."""
        if row.inherited:
            self.inherited.append(row)
        else:
            self.add(row.owner, -1)

    def settle(self, view: View, now: datetime) -> list[str]:
        """Write the numbers down; return the actions that answer for nothing any more: they are not reverted."""
        view.expect((ORDERS, action) for action in self.by_action)
        over = list(dict.fromkeys(row.owner for row in self.inherited if row.owner not in self.by_action))
        for action, number in self.by_action.items():
            order = view.need(ORDERS, action)
            if not number:
                continue
            owned = order.owned + number
            view.put(ORDERS, replace(order, owned=owned, over_time=order.over_time if owned else now))
            if not owned:
                view.drop(REVERTS, action)
                view.drop(DEAD_MEN, action)
                over.append(action)
        return over


def _each(view: View, part: Part) -> Iterator[tuple[PlannedItem, Finding, Owner | None]]:
    view.expect((OWNERS, item.key) for item in part.plan.items)
    for item, finding in zip(part.plan.items, part.findings, strict=True):
        yield item, finding, view.get(OWNERS, item.key)


def _put(view: View, key: str, ownership: plan_pb2.Ownership) -> None:
    view.put(OWNERS, Owner(key, ownership.kind, ownership.owner, ownership, ownership.HasField("inherited")))


def take(view: View, order: Order, part: Part, moves: Moves) -> None:
    """Let an action own what it changed, and what it found done by others of its kind."""
    action, kind = order.action, order.kind
    for item, finding, row in _each(view, part):
        planned = encode_item(item, finding)
        same = row is not None and row.kind == kind
        if row and same and finding.state in (*CHANGED, item_pb2.ITEM_STATE_UNNEEDED):
            taken = plan_pb2.Ownership()
            taken.CopyFrom(row.ownership)
            taken.owner = action
            taken.newest.CopyFrom(planned)
            taken.ClearField("let_go_by")
            taken.ClearField("inherited")
            if row.owner != action:
                taken.older.append(row.owner)
            moves.leave(row)
        elif finding.state in CHANGED:
            below = row.ownership if row else None
            taken = plan_pb2.Ownership(kind=kind, owner=action, first=action, planned=planned, below=below)
        else:
            continue
        _put(view, item.key, taken)
        moves.add(action, 1)


def adopt(view: View, row: plan_pb2.Ownership) -> bool:
    """Own by its mark what the journal does not know; False if it knows by now who owns it."""
    key = row.planned.key
    if view.get(OWNERS, key) is not None:
        return False
    _put(view, key, row)
    return True


def begin_to_let_go(view: View, parts: Parts, by: str) -> None:
    """Note on what is going to be taken back that it is not made so again."""
    keys = [item.key for part in parts if part.plan.reverts for item in part.to_do.items]
    view.expect((OWNERS, key) for key in keys)
    for row in (view.get(OWNERS, key) for key in keys):
        if row and not row.ownership.let_go_by:
            _marked(view, row, by)


def no_longer_let_go(view: View, parts: Parts, by: str) -> None:
    """Take that back, where nothing has come of it."""
    keys = [item.key for part in parts if part.plan.reverts for item in part.plan.items]
    view.expect((OWNERS, key) for key in keys)
    for row in (view.get(OWNERS, key) for key in keys):
        if row and row.ownership.let_go_by == by:
            _marked(view, row, "")


def _marked(view: View, row: Owner, by: str) -> None:
    marked = plan_pb2.Ownership()
    marked.CopyFrom(row.ownership)
    marked.let_go_by = by
    _put(view, row.key, marked)


def let_go(view: View, part: Part, moves: Moves) -> None:
    """End the rows of what was taken back, and of what was found to be back."""
    for item, finding, row in _each(view, part):
        if row is None or finding.state not in (item_pb2.ITEM_STATE_DONE, item_pb2.ITEM_STATE_UNNEEDED):
            continue
        moves.leave(row)
        if row.ownership.HasField("below"):
            _put(view, item.key, row.ownership.below)
        else:
            view.drop(OWNERS, item.key)


def newest(ownership: plan_pb2.Ownership) -> plan_pb2.PlannedItem:
    """Return the owner's change: how the item is to be now."""
    return ownership.newest if ownership.HasField("newest") else ownership.planned


def knows(ownership: plan_pb2.Ownership, action: str) -> bool:
    """Tell whether the action is of this row, or of one below it, without owning it now."""
    if action in ownership.older:
        return True
    if not ownership.HasField("below"):
        return False
    return ownership.below.owner == action or knows(ownership.below, action)
