"""Looking, changing, looking again: the only calls of an effect that matter, each as small as can be."""

from typing import Any

from quell.remediation.v1 import item_pb2

from quell_executor.effect import Effect, Finding, Plan, PlannedItem, Progress
from quell_executor.parts import TO_DO, Part, Parts, because

AT_BEGIN = {
    item_pb2.ITEM_STATE_DONE: item_pb2.ITEM_STATE_UNNEEDED,
    # Neither as before nor as ordered, perhaps by a crash: the change is tried.
    item_pb2.ITEM_STATE_FAILED: TO_DO,
}


async def look(effect: Effect[Any], plan: Plan) -> Part:
    """Probe a plan that is not begun: what is so already is not needed."""
    findings = await _probe(effect, plan)
    return Part(plan, tuple(Finding(AT_BEGIN.get(found.state, found.state), found.failure) for found in findings))


async def make(effect: Effect[Any], parts: Parts, progress: Progress) -> None:
    """Make the changes that are to be made."""
    for part in parts:
        if part.to_do.items:
            await effect.apply(part.to_do, progress)


async def see(effect: Effect[Any], parts: Parts) -> Parts:
    """Probe what was to be changed."""
    return tuple([part.found(await _probe(effect, part.to_do)) if part.to_do.items else part for part in parts])


def spare(parts: Parts, protected: frozenset[str]) -> Parts:
    """Leave alone what the executor's own settings protect."""
    refused = Finding(item_pb2.ITEM_STATE_REFUSED, because("PROTECTED", "the executor's own rule"))

    def judge(item: PlannedItem, finding: Finding) -> Finding:
        return finding if protected.isdisjoint({item.key, *item.names}) else refused

    return tuple(part.each(judge) for part in parts)


def unknown(parts: Parts) -> Parts:
    """Say of what was to be changed that it can't be told."""
    failed = Finding(item_pb2.ITEM_STATE_FAILED, because("EFFECT_UNKNOWN", "the probe could not tell"))
    return tuple(part.found([failed] * len(part.to_do.items)) for part in parts)


async def _probe(effect: Effect[Any], plan: Plan) -> list[Finding]:
    findings = list(await effect.probe(plan))
    if len(findings) != len(plan.items):
        raise ValueError("a probe must find something of each item")
    return findings
