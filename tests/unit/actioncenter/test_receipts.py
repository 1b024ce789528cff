"""What a receipt says becomes the event and the failure that the semantics give, never something better."""

import pytest
from quell.remediation.v1 import failure_pb2, outcome_pb2
from quell.warrant.v1 import receipt_pb2

from quell_actioncenter.domain.lifecycle import ENDED_BY_RECEIPT, Event, State
from quell_actioncenter.domain.receipts import FAILURES, answer, failure, loss, newer_outcome

OWN = failure_pb2.Failure(reason="CONFLICT", message="All items are in conflict.")


def receipt(disposition: str, effect: str = "", own: failure_pb2.Failure | None = None) -> receipt_pb2.Receipt:
    """Return a receipt that says so."""
    made = receipt_pb2.Receipt(disposition=receipt_pb2.Disposition.Value(f"DISPOSITION_{disposition}"), failure=own)
    if effect:
        made.outcome.effect = outcome_pb2.EffectState.Value(f"EFFECT_STATE_{effect}")
    return made


ROWS = [
    # the receipt, what its action does, where that ends, and why
    (receipt("CARRIED_OUT", "IN_FORCE"), "changes", State.SUCCEEDED, ""),
    (receipt("CARRIED_OUT", "IN_FORCE"), "reads", State.SUCCEEDED, ""),
    (receipt("CARRIED_OUT", "PARTLY_IN_FORCE"), "changes", State.PARTIALLY_SUCCEEDED, ""),
    (receipt("CARRIED_OUT", "PARTLY_IN_FORCE", own=OWN), "changes", State.PARTIALLY_SUCCEEDED, "CONFLICT"),
    (receipt("CARRIED_OUT", "ALREADY_IN_FORCE"), "changes", State.NOT_NEEDED, ""),
    (receipt("CARRIED_OUT", "TARGET_GONE"), "changes", State.NOT_NEEDED, ""),
    (receipt("CARRIED_OUT", "NOT_IN_FORCE", own=OWN), "changes", State.FAILED, "CONFLICT"),
    (receipt("CARRIED_OUT", "NOT_IN_FORCE"), "changes", State.FAILED, "EFFECT_NOT_OBSERVED"),
    (receipt("CARRIED_OUT", "NOT_IN_FORCE"), "reads", State.FAILED, "EFFECT_NOT_OBSERVED"),
    (receipt("CARRIED_OUT", "UNKNOWN"), "changes", State.FAILED, "EFFECT_UNKNOWN"),
    (receipt("CARRIED_OUT", "UNKNOWN", own=OWN), "changes", State.FAILED, "EFFECT_UNKNOWN"),
    (receipt("CARRIED_OUT"), "changes", State.FAILED, "EFFECT_UNKNOWN"),
    (receipt("STOPPED", "PARTLY_IN_FORCE"), "changes", State.PARTIALLY_SUCCEEDED, "STOPPED"),
    (receipt("STOPPED", "PARTLY_IN_FORCE"), "reads", State.CANCELED, ""),
    (receipt("EXPIRED"), "changes", State.TIMED_OUT, ""),
    (receipt("SUPERSEDED"), "changes", State.SUPERSEDED, ""),
    (receipt("CANCELED"), "changes", State.CANCELED, ""),
    (receipt("REFUSED", own=OWN), "changes", State.FAILED, "CONFLICT"),
    (receipt("UNSPECIFIED", "IN_FORCE"), "changes", State.FAILED, ""),
]


@pytest.mark.parametrize(("came", "kind", "state", "reason"), ROWS)
def test_a_receipt_means_what_the_table_says(came: receipt_pb2.Receipt, kind: str, state: State, reason: str) -> None:
    """Each row of the receipt table, and what stands in no row is never a success."""
    said = answer(came, read_only=kind == "reads")
    assert ENDED_BY_RECEIPT[said.event] == state
    assert (said.failure.reason if said.failure else "") == reason


def test_only_what_was_seen_to_be_so_is_a_success() -> None:
    """Of all dispositions and effect states one pair is SUCCEEDED."""
    good = {
        (disposition, effect)
        for disposition in receipt_pb2.Disposition.keys()  # noqa: SIM118 - it is no mapping
        for effect in outcome_pb2.EffectState.keys()  # noqa: SIM118 - it is no mapping
        if answer(
            receipt(disposition.removeprefix("DISPOSITION_"), effect.removeprefix("EFFECT_STATE_")), read_only=False
        ).event
        == Event.FOUND_IN_FORCE
    }
    assert good == {("DISPOSITION_CARRIED_OUT", "EFFECT_STATE_IN_FORCE")}


def test_an_outcome_is_never_lost() -> None:
    """A receipt without an outcome leaves the one that is known; one with an outcome replaces it."""
    known = outcome_pb2.Outcome(effect=outcome_pb2.EFFECT_STATE_UNKNOWN)
    assert newer_outcome(known, receipt("REFUSED", own=OWN)) is known
    newer = newer_outcome(known, receipt("CARRIED_OUT", "IN_FORCE"))
    assert newer is not None
    assert newer.effect == outcome_pb2.EFFECT_STATE_IN_FORCE
    assert newer_outcome(None, receipt("REFUSED", own=OWN)) is None


@pytest.mark.parametrize(
    ("state", "event", "reason"),
    [
        (State.QUEUED, Event.TARGET_BANNED, "TARGET_LOST"),
        (State.WAITING_FOR_TARGET, Event.TARGET_OFFBOARDED, "TARGET_OFFBOARDED"),
        (State.RUNNING, Event.TARGET_OFFBOARDED, "TARGET_LOST"),
        (State.DISPATCHED, Event.WRITTEN_OFF, "TARGET_LOST"),
    ],
)
def test_a_lost_target_is_told(state: State, event: Event, reason: str) -> None:
    """What was not sent to a device that left is told apart from what may have been carried out."""
    assert loss(state, event).reason == reason


@pytest.mark.parametrize("reason", FAILURES)
def test_our_own_failures_are_sentences(reason: str) -> None:
    """Each has a reason and one sentence."""
    assert failure(reason).reason == reason
    assert failure(reason).message.endswith(".")
