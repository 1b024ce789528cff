"""Parts: what one call of an effect is given, with what was found of each of its items."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from quell.journal.v1 import plan_pb2
from quell.remediation.v1 import failure_pb2, item_pb2

from quell_executor.effect import Finding, Plan, PlannedItem

TO_DO = item_pb2.ITEM_STATE_PLANNED


@dataclass(frozen=True, slots=True)
class Part:
    """A plan, and a finding for each of its items. PLANNED is to be changed; everything else stays as it is."""

    plan: Plan
    findings: tuple[Finding, ...]

    @property
    def to_do(self) -> Plan:
        """The plan of what is to be changed."""
        return self.only(lambda finding: finding.state == TO_DO)

    def only(self, wanted: Callable[[Finding], bool]) -> Plan:
        """Return the plan of the items with such findings."""
        pairs = zip(self.plan.items, self.findings, strict=True)
        items = tuple(item for item, finding in pairs if wanted(finding))
        return self.plan if len(items) == len(self.plan.items) else replace(self.plan, items=items)

    def found(self, findings: Sequence[Finding]) -> "Part":
        """Return the part with new findings for what is to be changed, in the order of `to_do`."""
        fresh = iter(findings)
        return Part(self.plan, tuple(next(fresh) if old.state == TO_DO else old for old in self.findings))

    def each(self, change: Callable[[PlannedItem, Finding], Finding]) -> "Part":
        """Return the part with every finding changed."""
        pairs = zip(self.plan.items, self.findings, strict=True)
        return Part(self.plan, tuple(change(item, finding) for item, finding in pairs))


Parts = tuple[Part, ...]


def keys_of(items: Iterable[PlannedItem]) -> frozenset[str]:
    """Return every key and name that items are locked and checked under."""
    return frozenset(key for item in items for key in (item.key, *item.names))


def because(reason: str, message: str = "") -> failure_pb2.Failure:
    """Return a failure."""
    return failure_pb2.Failure(reason=reason, message=message)


def outcomes(parts: Parts) -> list[item_pb2.ItemOutcome]:
    """Return what came of every item, in order."""
    return [
        item_pb2.ItemOutcome(item=planned.item, state=finding.state, failure=finding.failure)
        for part in parts
        for planned, finding in zip(part.plan.items, part.findings, strict=True)
    ]


def encode_item(planned: PlannedItem, finding: Finding | None = None) -> plan_pb2.PlannedItem:
    """Return an item as the journal holds it."""
    return plan_pb2.PlannedItem(
        key=planned.key,
        item=planned.item,
        before=planned.before,
        names=sorted(planned.names),
        found=finding.state if finding else item_pb2.ITEM_STATE_UNSPECIFIED,
        failure=finding.failure if finding else None,
    )


def decode_item(held: plan_pb2.PlannedItem) -> PlannedItem:
    """Return an item that the journal holds."""
    return PlannedItem(held.key, held.item, held.before, frozenset(held.names))


def encode(parts: Parts) -> plan_pb2.Plan:
    """Return parts as the journal holds them."""
    return plan_pb2.Plan(
        parts=[
            plan_pb2.Part(
                action=part.plan.action,
                reverts=part.plan.reverts,
                names=sorted(part.plan.names),
                items=map(encode_item, part.plan.items, part.findings),
            )
            for part in parts
        ]
    )


def decode(plan: plan_pb2.Plan) -> Parts:
    """Return parts that the journal holds."""
    return tuple(
        Part(
            Plan(tuple(map(decode_item, part.items)), frozenset(part.names), part.reverts, part.action),
            tuple(Finding(held.found, held.failure if held.HasField("failure") else None) for held in part.items),
        )
        for part in plan.parts
    )
