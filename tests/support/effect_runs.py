"""Carrying an effect out by hand, as the kit does: plan, probe, apply what is to be done, probe."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf.message import Message
from quell.remediation.v1 import item_pb2

from quell_executor.effect import Effect, Finding, Plan

DONE = item_pb2.ITEM_STATE_DONE
PLANNED = item_pb2.ITEM_STATE_PLANNED
MISSING = item_pb2.ITEM_STATE_MISSING
REFUSED = item_pb2.ITEM_STATE_REFUSED
CONFLICT = item_pb2.ITEM_STATE_CONFLICT
ACTION = "6f1c4f0e-0000-4000-8000-000000000001"


@dataclass(frozen=True)
class Run:
    """A plan, with what was found before and after."""

    plan: Plan
    before: list[int]
    after: list[int]
    reasons: list[str]


class Silent:
    """Progress that nobody follows."""

    def report(self, message: str, *, percent: int | None = None) -> None:
        """Say nothing."""


async def carry_out(effect: Effect[Any], plan: Plan) -> Run:
    """Carry out a plan."""
    before = await effect.probe(plan)
    to_do = [item for item, finding in zip(plan.items, before, strict=True) if finding.state == PLANNED]
    if to_do:
        await effect.apply(replace(plan, items=tuple(to_do)), Silent())
    after = await effect.probe(plan)
    return Run(
        plan, _states(before), _states(after), [finding.failure.reason if finding.failure else "" for finding in after]
    )


async def do(
    effect: Effect[Any], order: Message, within: Sequence[item_pb2.Item] | None = None, *, action: str = ACTION
) -> Run:
    """Plan and carry out an order."""
    plan = replace(await effect.plan(order, within), action=action)
    return await carry_out(effect, plan)


async def undo(effect: Effect[Any], plan: Plan) -> Run:
    """Take a plan back."""
    return await carry_out(effect, await effect.plan_revert(plan))


def _states(findings: Sequence[Finding]) -> list[int]:
    return [finding.state for finding in findings]
