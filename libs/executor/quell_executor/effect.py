"""What a kind of remediation is to the kit: an effect that changes the world, a reading, or a release."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from google.protobuf.message import Message
from quell.remediation.v1 import failure_pb2, item_pb2, remediation_pb2, result_pb2

OrderT_contra = TypeVar("OrderT_contra", bound=Message, contravariant=True)


@dataclass(frozen=True, slots=True)
class PlannedItem:
    """One thing to change: its item key, how people see it, and what the change replaces, in the effect's own bytes.

    `names` are the keys of everything that an order could name to mean this item (its path, its content, a query): it
    is not begun if a newer order named one of them. Empty: those of its plan.
    """

    key: str
    item: item_pb2.Item
    before: bytes
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Plan:
    """Every change to make, in order. The same thing is preview, journal and undo record.

    `names` are the keys of what the order named (a path, a content, a query): they are fenced and locked like the
    items' own, so that orders which name one thing differently, or find nothing, still come in order. `reverts` tells
    a plan of `plan_revert` from one of `plan`.

    `action` is set by the kit: the bare id of the action that makes, or made, the changes; empty in a preview. Effects
    mark what they make with it, so that a lost journal can be told what it was; in a plan that reverts it is still the
    action whose changes are taken back. `notes` tell people what else it does; only previews show them.
    """

    items: tuple[PlannedItem, ...]
    names: frozenset[str]
    reverts: bool = False
    action: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look at the world says of one item.

    DONE: it is as ordered. PLANNED: it is as it was before, and can be changed. MISSING: it is no more. REFUSED: a rule
    leaves it alone. CONFLICT: others have changed it. FAILED: it is neither, and the failure says why.
    """

    state: item_pb2.ItemState.ValueType
    failure: failure_pb2.Failure | None = None


class Progress(Protocol):
    """Where an effect says how far it is."""

    def report(self, message: str, *, percent: int | None = None) -> None:
        """Say so; `percent` is 0 to 100, or None where it can't be known. Cheap: call it as often as you like."""


class Effect(Protocol[OrderT_contra]):
    """A kind that changes the world and can take it back exactly.

    The kit calls `plan`, probes it (what is DONE already is not needed), journals it, and only then calls `apply`; it
    alone makes counts, outcome and receipt from what `probe` finds. Each method may be called again after a crash and
    must then come to the same end. None of them decides whether it may act: who calls them holds a verified warrant.
    """

    async def plan(self, order: OrderT_contra, within: Sequence[item_pb2.Item] | None) -> Plan:
        """Resolve the target, or only `within` (a frozen snapshot), and write down every change. Change nothing.

        What we have changed ourselves before counts as found: it is planned too, and the probe says DONE.

        Raises:
            RefusedError: It can't be done: protected, not resolvable, malformed for this world.

        """

    async def apply(self, plan: Plan, progress: Progress) -> None:
        """Make the changes of the plan that are not made yet, in its order.

        It may be cancelled between two of them: one that is under way, in a thread too, is finished before the
        cancellation is let through, since the world is looked at next.
        """

    async def probe(self, plan: Plan) -> Sequence[Finding]:
        """Look at the world, not at memory, and say of each item, in the plan's order, how it is."""

    async def plan_revert(self, plan: Plan) -> Plan:
        """Plan to put back what a plan replaced: the same items and keys, `reverts` set.

        An item that others changed since stays in the plan; its probe says CONFLICT, and `apply` leaves it as it is.
        """


@runtime_checkable
class Standing(Effect[OrderT_contra], Protocol[OrderT_contra]):
    """An effect whose change others can take away while it is in force, or a reboot: the kit makes it so again.

    Once after each start, and whenever `moved` returns, the kit probes the newest action's plan; what is no longer as
    ordered is reported TAMPERED, applied again, and reported REASSERTED, or DRIFTED if that did not help.

    With the class attribute `dead_man = True` the kit takes the effect back unless the centre has acknowledged its
    receipt within `Settings.dead_man` of applying; an order with a true field `hold` is spared that.
    """

    async def moved(self, plan: Plan) -> None:
        """Wait until the world may have moved away from what the plan made; to return too often is no error.

        It is cancelled when the plan is no longer in force. A change between two calls must not be missed: begin to
        listen, then look once, then wait.
        """


@dataclass(frozen=True, slots=True)
class Mark:
    """What an effect's own mark in the world (a vault record, an entry, a state file) says is ours.

    `action` is the bare id that stands in the mark; `remediation` would make it so, and its inverse takes it back;
    `item` is what `plan_revert` needs to put back what was there before.
    """

    action: str
    remediation: remediation_pb2.Remediation
    item: PlannedItem


@runtime_checkable
class Marked(Protocol):
    """An effect that can say by its marks alone what of ours is in force, for a journal that was lost."""

    async def marks(self) -> Sequence[Mark]:
        """Read every mark. Change nothing; what can't be read is left out, and logged."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a kind that only reads brought: an outcome an item, and what only some kinds bring."""

    items: tuple[item_pb2.ItemOutcome, ...]
    scan: result_pb2.ScanResult | None = None
    artifact: result_pb2.Artifact | None = None


class Reader(Protocol[OrderT_contra]):
    """A kind that changes nothing in the world. It is not fenced; a crash begins it anew; it may be cancelled."""

    async def read(self, action: str, order: OrderT_contra, progress: Progress) -> Reading:
        """Read; `action` is the bare id of the action that asked for it.

        Raises:
            RefusedError: It can't be done.

        """


@dataclass(frozen=True, slots=True)
class Owned:
    """One item that an action of ours (`actions/{action}`) has changed, and that is still so as far as we know."""

    action: str
    key: str
    item: item_pb2.Item


class Release(Protocol[OrderT_contra]):
    """A kind that lets go of what its inverse did. It chooses; the kit takes back by the inverse's `plan_revert`."""

    def names(self, order: OrderT_contra) -> frozenset[str]:
        """Return the keys of what the order named, fenced as in a plan."""

    def chooses(self, order: OrderT_contra, owned: Owned) -> bool:
        """Tell whether the order means this item."""


Offer = Effect[Any] | Reader[Any] | Release[Any]
Offers = Mapping[str, Offer]
"""What an executor serves, by kind."""


class RefusedError(Exception):
    """The order can't be carried out here. Nothing was changed."""

    def __init__(self, reason: str, message: str = "", *, retryable: bool = False) -> None:
        """Say why: a reason in upper snake case, a sentence for people without paths or secrets."""
        super().__init__(f"{reason}: {message}")
        self.failure = failure_pb2.Failure(reason=reason, message=message, retryable=retryable)
