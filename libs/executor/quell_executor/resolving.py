"""Resolving: what an order, an undo or a release would change, read from the world and from the journal."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from google.protobuf.message import Message
from quell.journal.v1 import plan_pb2
from quell.remediation.v1 import item_pb2, remediation_pb2

from quell_executor.effect import Effect, Finding, Offers, Owned, Plan, PlannedItem, RefusedError, Release
from quell_executor.journal.ledger import Ledger
from quell_executor.journal.ownership import knows, newest
from quell_executor.journal.records import ORDERS, OWNERS, PLANS, SNAPSHOTS, Owner
from quell_executor.parts import Part, Parts, because, decode, decode_item, keys_of
from quell_executor.warrant import taken_back
from quell_runtime.kinds import kind_of, order_of


@dataclass(frozen=True, slots=True)
class Resolved:
    """What would be done: a plan for each call of the effect, what is left to newer actions, and what was named."""

    effect: Effect[Any]
    plans: tuple[Plan, ...]
    kept: Parts
    names: frozenset[str]

    @property
    def items(self) -> list[PlannedItem]:
        """Every item, also those that are left alone."""
        plans = (*self.plans, *(part.plan for part in self.kept))
        return [item for plan in plans for item in plan.items]

    @property
    def keys(self) -> frozenset[str]:
        """Everything to lock."""
        return self.names | keys_of(self.items)


class Resolver:
    """Resolves over the offers and the journal; changes nothing."""

    def __init__(self, offers: Offers, journal: Ledger) -> None:
        """Take what is offered and the journal."""
        self._offers = offers
        self._journal = journal

    def effect(self, kind: str) -> Effect[Any]:
        """Return the effect of a kind that changes the world."""
        return cast("Effect[Any]", self._offers[kind])

    def release(self, kind: str) -> Release[Any]:
        """Return the release of a kind that lets go."""
        return cast("Release[Any]", self._offers[kind])

    async def resolve(
        self, remediation: remediation_pb2.Remediation, undo_of: str, action: str = "", snapshot: str = ""
    ) -> Resolved:
        """Return what would be done.

        Raises:
            RefusedError: It can't be done.

        """
        kind = kind_of(remediation)
        if undo_of:
            return await self.undo(undo_of, kind.name)
        if kind.release:
            return await self._release(remediation)
        effect = self.effect(kind.name)
        plan = _named(await effect.plan(order_of(remediation), await self.snapshot(snapshot)), action)
        return Resolved(effect, (plan,), (), plan.names)

    async def snapshot(self, digest: str) -> Sequence[item_pb2.Item] | None:
        """Return the items of a snapshot, or None for none.

        Raises:
            RefusedError: It is lost.

        """
        if not digest:
            return None
        held = await self._journal.store.load(SNAPSHOTS, digest)
        if held is None:
            raise RefusedError("SNAPSHOT_LOST", "the list that was approved is no more: look again", retryable=True)
        return plan_pb2.Snapshot.FromString(held.items).items

    async def undo(self, action: str, kind: str) -> Resolved:
        """Plan to take back what an action answers for; what newer ones answer for is kept.

        Raises:
            RefusedError: The journal does not know it.

        """
        names, keys = await self._planned(action)
        rows = await self.rows(keys)
        mine = [row for row in rows if row.owner == action and row.kind == kind]
        kept = [row for row in rows if row.owner != action and knows(row.ownership, action)]
        return await self._taking_back(self.effect(kind), mine, kept, names | keys)

    async def _release(self, remediation: remediation_pb2.Remediation) -> Resolved:
        kind, order = kind_of(remediation), order_of(remediation)
        release = self.release(kind.name)
        names = release.names(order)
        if named := taken_back(remediation, ""):
            more, keys = await self._planned_or_inherited(named)
            names |= more | keys
            rows = [row for row in await self.rows(keys) if row.kind == kind.inverse]
        else:
            rows = await self._journal.store.select(OWNERS, 'WHERE kind = ? ORDER BY "key"', (kind.inverse,))
        mine = [row for row in rows if chooses(release, order, row, row.owner)]
        kept = [
            row
            for row in rows
            if row not in mine and any(chooses(release, order, row, older) for older in row.ownership.older)
        ]
        return await self._taking_back(self.effect(kind.inverse), mine, kept, names)

    async def _planned(self, action: str) -> tuple[frozenset[str], frozenset[str]]:
        """Return the names and the item keys of an action's plan; none if it was never begun."""
        if await self._journal.store.load(ORDERS, action) is None:
            raise RefusedError("JOURNAL_LOST", "the journal does not know what to take back")
        begun = await self._journal.store.load(PLANS, action)
        plans = [part.plan for part in decode(begun.plan)] if begun else []
        names = frozenset(name for plan in plans for name in plan.names)
        return names, frozenset(item.key for plan in plans for item in plan.items)

    async def _planned_or_inherited(self, action: str) -> tuple[frozenset[str], frozenset[str]]:
        """Return them also for an action of a lost journal, by what its marks tell of."""
        rows = [row for row in await self._owned(action) if row.inherited]
        if not rows:
            return await self._planned(action)
        items = [decode_item(row.ownership.planned) for row in rows]
        return keys_of(items), frozenset(item.key for item in items)

    async def rows(self, keys: frozenset[str]) -> list[Owner]:
        """Return who answers for these items, where anybody does."""
        tail = 'WHERE "key" IN (SELECT value FROM json_each(?)) ORDER BY "key"'
        return await self._journal.store.select(OWNERS, tail, (json.dumps(sorted(keys)),))

    async def owned_by(self, action: str) -> Plan:
        """Return the plan of how all is to be that an action answers for: its own, not that of the first of a row."""
        return newest_plan(action, await self._owned(action))

    async def standing_of(self, action: str) -> Plan:
        """Return the plan of what an action has made so, and nobody has begun to let go of."""
        return newest_plan(
            action,
            [
                row
                for row in await self._owned(action)
                # What marks alone tell of was not ordered here; what failed was never so.
                if not row.inherited
                and not row.ownership.let_go_by
                and newest(row.ownership).found != item_pb2.ITEM_STATE_FAILED
            ],
        )

    async def _owned(self, action: str) -> list[Owner]:
        return await self._journal.store.select(OWNERS, 'WHERE owner = ? ORDER BY "key"', (action,))

    async def _taking_back(
        self, effect: Effect[Any], mine: Sequence[Owner], kept: Sequence[Owner], names: frozenset[str]
    ) -> Resolved:
        plans = [_reverting(plan, await effect.plan_revert(plan)) for plan in _plans(mine, names)]
        left = [
            Part(
                Plan((decode_item(row.ownership.planned),), names, reverts=True, action=bare(row.ownership.first)),
                (Finding(item_pb2.ITEM_STATE_KEPT, because("NOT_THE_NEWEST", f"{row.owner} owns it")),),
            )
            for row in kept
        ]
        return Resolved(effect, tuple(plans), tuple(left), names)


def bare(action: str) -> str:
    """Return the id of `actions/{action}`: it is what effects mark their things with."""
    return action.removeprefix("actions/")


def newest_plan(action: str, rows: Sequence[Owner]) -> Plan:
    """Return the plan of an action's own changes to what it answers for."""
    items = tuple(decode_item(newest(row.ownership)) for row in rows)
    return Plan(items, frozenset(), action=bare(action))


def chooses(release: Release[Any], order: Message, row: Owner, action: str) -> bool:
    """Tell whether a release means an item, if it were the action's."""
    return release.chooses(order, Owned(action, row.key, row.ownership.planned.item))


def _named(plan: Plan, action: str) -> Plan:
    """Return a plan for an action; an item without names of its own has those of its plan."""
    if len({item.key for item in plan.items}) != len(plan.items):
        raise ValueError("two items of a plan have one key")
    items = tuple(item if item.names else replace(item, names=plan.names) for item in plan.items)
    return replace(plan, items=items, action=bare(action))


def _plans(rows: Sequence[Owner], names: frozenset[str]) -> tuple[Plan, ...]:
    """Return plans as they were made, one for each action that was the first of a row."""
    by_first: dict[str, list[PlannedItem]] = {}
    for row in rows:
        by_first.setdefault(row.ownership.first, []).append(decode_item(row.ownership.planned))
    return tuple(Plan(tuple(items), names, action=bare(first)) for first, items in by_first.items())


def _reverting(plan: Plan, back: Plan) -> Plan:
    """Return the effect's plan to take back, with the keys' names, and the action whose changes they are."""
    names = {item.key: item.names for item in plan.items}
    if names.keys() != {item.key for item in back.items}:
        raise ValueError("a plan that reverts must have the keys of what it takes back")
    items = tuple(replace(item, names=names[item.key]) for item in back.items)
    return replace(back, items=items, names=plan.names, reverts=True, action=plan.action)
