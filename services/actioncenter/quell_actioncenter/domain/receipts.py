"""What a receipt says of an action: the event that it is, and the failure that goes with it.

Whether the receipt verifies, and is of the bytes that were sent, is settled before.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from quell.remediation.v1 import failure_pb2, outcome_pb2
from quell.warrant.v1 import receipt_pb2

from quell_actioncenter.domain.lifecycle import UNSENT, Event, State

FAILURES: Mapping[str, str] = {
    "EFFECT_NOT_OBSERVED": "The executor says that it was carried out, and what was ordered is not so.",
    "EFFECT_UNKNOWN": "The executor can't tell whether what was ordered is so.",
    "STOPPED": "It was stopped half-way; the outcome says how far it came.",
    "TARGET_LOST": "Its target is lost: banned, or given up before it answered.",
    "TARGET_OFFBOARDED": "Its device left our care before the order was sent.",
}
"""The reasons that the centre itself gives, each with its sentence for people."""

_FOUND: Mapping[outcome_pb2.EffectState.ValueType, tuple[Event, str]] = {
    outcome_pb2.EFFECT_STATE_IN_FORCE: (Event.FOUND_IN_FORCE, ""),
    outcome_pb2.EFFECT_STATE_PARTLY_IN_FORCE: (Event.FOUND_PARTLY_IN_FORCE, ""),
    outcome_pb2.EFFECT_STATE_ALREADY_IN_FORCE: (Event.FOUND_NOTHING_TO_DO, ""),
    outcome_pb2.EFFECT_STATE_TARGET_GONE: (Event.FOUND_NOTHING_TO_DO, ""),
    outcome_pb2.EFFECT_STATE_NOT_IN_FORCE: (Event.FOUND_NOT_IN_FORCE, "EFFECT_NOT_OBSERVED"),
}

_NOT_BEGUN: Mapping[receipt_pb2.Disposition.ValueType, Event] = {
    receipt_pb2.DISPOSITION_EXPIRED: Event.CAME_TOO_LATE,
    receipt_pb2.DISPOSITION_SUPERSEDED: Event.NEWER_CAME_FIRST,
    receipt_pb2.DISPOSITION_CANCELED: Event.CALLED_OFF,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receipt means: the event, and why it did not come as ordered, if so."""

    event: Event
    failure: failure_pb2.Failure | None = None


def answer(receipt: receipt_pb2.Receipt, *, read_only: bool) -> Answer:
    """Read a receipt; `read_only` tells whether the kind of the action changes nothing.

    What no row of the table covers says nothing good: it is REFUSED, or its effect UNKNOWN.
    """
    said = receipt.failure if receipt.HasField("failure") else None
    if receipt.disposition == receipt_pb2.DISPOSITION_CARRIED_OUT:
        event, reason = _FOUND.get(receipt.outcome.effect, (Event.FOUND_UNKNOWN, ""))
        if event == Event.FOUND_UNKNOWN:
            return Answer(event, failure("EFFECT_UNKNOWN"))
        return Answer(event, said or (failure(reason) if reason else None))
    if receipt.disposition == receipt_pb2.DISPOSITION_STOPPED:
        return Answer(Event.READING_STOPPED) if read_only else Answer(Event.STOPPED, failure("STOPPED"))
    if receipt.disposition in _NOT_BEGUN:
        return Answer(_NOT_BEGUN[receipt.disposition], said)
    return Answer(Event.REFUSED, said)


def newer_outcome(known: outcome_pb2.Outcome | None, receipt: receipt_pb2.Receipt) -> outcome_pb2.Outcome | None:
    """Return the outcome after a receipt: one without an outcome never replaces one with."""
    return receipt.outcome if receipt.HasField("outcome") else known


def failure(reason: str) -> failure_pb2.Failure:
    """Return a failure that the centre itself finds; one of `FAILURES`."""
    return failure_pb2.Failure(reason=reason, message=FAILURES[reason])


def loss(state: State, event: Event) -> failure_pb2.Failure:
    """Return the failure of an action that loses its target in a state: banned, offboarded or written off."""
    left = event == Event.TARGET_OFFBOARDED and state in UNSENT
    return failure("TARGET_OFFBOARDED" if left else "TARGET_LOST")
