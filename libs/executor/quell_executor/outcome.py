"""What a receipt says, made from nothing but what was found."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TypeVar

from google.protobuf.message import Message
from quell.remediation.v1 import failure_pb2, item_pb2, outcome_pb2
from quell.warrant.v1 import receipt_pb2

from quell_executor.effect import Finding, PlannedItem
from quell_executor.parts import TO_DO, Parts, outcomes
from quell_runtime.kinds import Kind
from quell_runtime.seams import stamp

CHUNK_ITEMS = 500
CHUNK_BYTES = 110_000
"""Less than the 120,000 that a chunk may have: each item costs a few bytes more than its own."""

GOOD = (outcome_pb2.EFFECT_STATE_IN_FORCE, outcome_pb2.EFFECT_STATE_ALREADY_IN_FORCE)
SO = (item_pb2.ITEM_STATE_DONE, item_pb2.ITEM_STATE_UNNEEDED)
M = TypeVar("M", bound=Message)


def refused(action: str, failure: failure_pb2.Failure) -> receipt_pb2.Receipt:
    """Return the receipt of what is not carried out."""
    return receipt_pb2.Receipt(action=action, disposition=receipt_pb2.DISPOSITION_REFUSED, failure=failure)


def counts_of(states: Iterable[item_pb2.ItemState.ValueType]) -> outcome_pb2.ItemCounts:
    """Count the items; they add up."""
    numbers = Counter(item_pb2.ItemState.Name(state).removeprefix("ITEM_STATE_").lower() for state in states)
    fields = {f"{name}_items": number for name, number in numbers.items()}
    return outcome_pb2.ItemCounts(total_items=numbers.total(), **fields)


def effect_of(counts: outcome_pb2.ItemCounts, *, reverts: bool) -> outcome_pb2.EffectState.ValueType:
    """Return how the world is. Superseded items are not looked at: a newer action answers for them.

    A thing that is gone needs no remediation beside others that came as ordered, but can't be brought back.
    """
    judged = counts.total_items - counts.superseded_items
    good = counts.done_items + counts.unneeded_items
    if judged == counts.missing_items:
        return outcome_pb2.EFFECT_STATE_TARGET_GONE
    if not good:
        return outcome_pb2.EFFECT_STATE_NOT_IN_FORCE
    if judged > good + (0 if reverts else counts.missing_items):
        return outcome_pb2.EFFECT_STATE_PARTLY_IN_FORCE
    if not counts.done_items:
        return outcome_pb2.EFFECT_STATE_ALREADY_IN_FORCE
    return outcome_pb2.EFFECT_STATE_IN_FORCE


def effect_seen(findings: Sequence[Finding]) -> outcome_pb2.EffectState.ValueType:
    """Return how an effect is found that is, by the journal, in force."""
    so = sum(finding.state in SO for finding in findings)
    if so == len(findings):
        return outcome_pb2.EFFECT_STATE_IN_FORCE
    return outcome_pb2.EFFECT_STATE_PARTLY_IN_FORCE if so else outcome_pb2.EFFECT_STATE_NOT_IN_FORCE


def settled(parts: Parts, failure: failure_pb2.Failure) -> Parts:
    """Return the parts as they count: what was to be done, and is as it was before, did not come as ordered."""
    kept = Finding(item_pb2.ITEM_STATE_FAILED, failure)

    def settle(_item: PlannedItem, finding: Finding) -> Finding:
        return kept if finding.state == TO_DO else finding

    return tuple(part.each(settle) for part in parts)


def undo_of(kind: Kind, *, lets_go: bool, changed: bool, owns: bool) -> outcome_pb2.UndoState.ValueType:
    """Return whether what was changed can be brought back; what lets go is not undone."""
    if owns and not lets_go:
        return outcome_pb2.UNDO_STATE_POSSIBLE if kind.undoable else outcome_pb2.UNDO_STATE_IMPOSSIBLE
    return outcome_pb2.UNDO_STATE_IMPOSSIBLE if changed else outcome_pb2.UNDO_STATE_UNSPECIFIED


def failure_of(parts: Parts) -> failure_pb2.Failure | None:
    """Return what all items that did not come as ordered have in common: the first one's failure."""
    fine = (item_pb2.ITEM_STATE_DONE, item_pb2.ITEM_STATE_UNNEEDED, item_pb2.ITEM_STATE_MISSING)
    for outcome in outcomes(parts):
        if outcome.state not in fine and outcome.HasField("failure"):
            return outcome.failure
    return None


def outcome_of(
    states: Sequence[item_pb2.ItemState.ValueType],
    time: datetime,
    begin_time: datetime | None = None,
    *,
    reverts: bool = False,
) -> outcome_pb2.Outcome:
    """Return the outcome over items of these states."""
    counts = counts_of(states)
    return outcome_pb2.Outcome(
        effect=effect_of(counts, reverts=reverts),
        items=counts,
        start_time=stamp(begin_time) if begin_time else None,
        end_time=stamp(time),
    )


def reading_effect(states: Sequence[item_pb2.ItemState.ValueType]) -> outcome_pb2.EffectState.ValueType:
    """Return how a reading went: nothing found is as good as something found."""
    if all(state == item_pb2.ITEM_STATE_DONE for state in states):
        return outcome_pb2.EFFECT_STATE_IN_FORCE
    return effect_of(counts_of(states), reverts=False)


def cut(messages: Iterable[M]) -> Iterator[list[M]]:
    """Cut a list into runs that fit into one message."""
    run: list[M] = []
    size = 0
    for message in messages:
        more = message.ByteSize() + 8
        if run and (len(run) == CHUNK_ITEMS or size + more > CHUNK_BYTES):
            yield run
            run, size = [], 0
        run.append(message)
        size += more
    if run:
        yield run


def chunks_of(items: Sequence[item_pb2.ItemOutcome]) -> tuple[list[bytes], bytes]:
    """Return the bodies of the item chunks, and the digest over them; no items, no chunks and no digest."""
    bodies = [item_pb2.ItemOutcomes(outcomes=run).SerializeToString() for run in cut(items)]
    return bodies, hashlib.sha256(b"".join(bodies)).digest() if bodies else b""
