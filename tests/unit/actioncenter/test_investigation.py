"""Where an investigation is follows from its facts, and is never better than they are."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quell.actioncenter.v1 import investigation_pb2

from quell_actioncenter.domain.investigation import Facts, Fate, InvestigationState, fate, outcome_of, state_of
from quell_actioncenter.domain.lifecycle import ENDED, LIVE, State

DONE = Facts(complete=True, evidence=3, threats=2)
S = InvestigationState


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        # What goes on, in order.
        (replace(DONE, pending=1, waiting=1, running=1, terminated=True, analysis_failed=True), S.PENDING_APPROVAL),
        (replace(DONE, waiting=1, running=1, failed=1), S.PENDING_RESOURCE),
        (replace(DONE, running=1, remediated=1), S.RUNNING),
        (Facts(), S.RUNNING),
        (Facts(evidence=1, threats=1, remediated=1), S.RUNNING),
        (Facts(pending=1), S.PENDING_APPROVAL),
        (replace(DONE, running=1, terminated=True), S.RUNNING),
        # Ends, in order.
        (replace(DONE, analysis_failed=True, remediated=2), S.FAILED),
        (replace(DONE, terminated=True, expired=2), S.TERMINATED_BY_USER),
        (Facts(terminated=True), S.TERMINATED_BY_USER),
        (replace(DONE, expired=2), S.TERMINATED_BY_SYSTEM),
        (Facts(complete=True), S.NO_THREATS_FOUND),
        (Facts(complete=True, evidence=2, undetermined=1), S.NO_THREATS_FOUND),
        (Facts(complete=True, evidence=2, remediated=1), S.NO_THREATS_FOUND),
        (replace(DONE, remediated=2), S.REMEDIATED),
        (replace(DONE, remediated=2, undone=1), S.REMEDIATED),
        (Facts(complete=True, evidence=2, undetermined=2), S.PARTIALLY_INVESTIGATED),
        (replace(DONE, unserved=2), S.PARTIALLY_INVESTIGATED),
        (replace(DONE, remediated=1, unserved=1), S.PARTIALLY_REMEDIATED),
        (replace(DONE, remediated=1, rejected=1), S.PARTIALLY_REMEDIATED),
        (replace(DONE, remediated=1, failed=1), S.PARTIALLY_REMEDIATED),
        (replace(DONE, remediated=1, expired=1), S.PARTIALLY_REMEDIATED),
        (replace(DONE, rejected=2), S.PARTIALLY_REMEDIATED),
        (replace(DONE, failed=2), S.PARTIALLY_REMEDIATED),
    ],
)
def test_the_first_state_that_fits_counts(facts: Facts, state: InvestigationState) -> None:
    """Each state, and each precedence."""
    assert state_of(facts) == state


COUNTS = st.integers(0, 3)
ANY = st.builds(
    Facts,
    **dict.fromkeys(["pending", "waiting", "running", "remediated", "rejected", "failed", "expired", "undone"], COUNTS),
    **dict.fromkeys(["evidence", "threats", "undetermined", "unserved"], COUNTS),
    **dict.fromkeys(["complete", "analysis_failed", "terminated"], st.booleans()),
)


@given(ANY)
def test_nothing_ends_while_something_goes_on(facts: Facts) -> None:
    """An end needs no pending, waiting or running action, and an end of the analysis."""
    over = not (facts.pending or facts.waiting or facts.running) and (facts.complete or facts.terminated)
    assert state_of(facts).ended is bool(over)


@given(ANY)
def test_remediated_is_never_said_of_less(facts: Facts) -> None:
    """Only if every action did its work and no threat is without one."""
    if state_of(facts) == S.REMEDIATED:
        assert facts.remediated
        assert facts.rejected == facts.failed == facts.expired == facts.unserved == 0
    if state_of(facts) == S.NO_THREATS_FOUND:
        assert not facts.threats


@given(ANY)
def test_undo_changes_numbers_alone(facts: Facts) -> None:
    """The state stays; `undone` grows."""
    after = replace(facts, undone=facts.undone + 1)
    assert state_of(after) == state_of(facts)
    assert outcome_of(after).undone == outcome_of(facts).undone + 1


@given(ANY)
def test_the_outcome_is_the_numbers(facts: Facts) -> None:
    """Each stands in it as it is."""
    outcome = outcome_of(facts)
    for field in investigation_pb2.InvestigationOutcome.DESCRIPTOR.fields:
        assert getattr(outcome, field.name) == getattr(facts, field.name)


def test_the_states_are_those_of_the_contract() -> None:
    """Names, numbers, and which of them are ends."""
    ours = {f"INVESTIGATION_STATE_{state.name}": int(state) for state in S}
    assert ours | {"INVESTIGATION_STATE_UNSPECIFIED": 0} == dict(investigation_pb2.InvestigationState.items())
    assert {state for state in S if not state.ended} == {S.PENDING_APPROVAL, S.PENDING_RESOURCE, S.RUNNING}
    assert all(state.wire == int(state) for state in S)


@pytest.mark.parametrize("state", [state for state in State if state != State.NONE])
def test_every_action_has_a_fate(state: State) -> None:
    """Live ones go on, ended ones have an end; only what did its work is remediated."""
    going_on = {Fate.PENDING, Fate.WAITING, Fate.RUNNING}
    assert (fate(state) in going_on) is (state in LIVE)
    assert (fate(state) == Fate.REMEDIATED) is (state in {State.SUCCEEDED, State.NOT_NEEDED})
    assert state in (*LIVE, *ENDED)


@pytest.mark.parametrize("superseder", Fate)
def test_what_was_superseded_shares_the_fate_of_what_came_first(superseder: Fate) -> None:
    """And of nothing that is known it is failed."""
    assert fate(State.SUPERSEDED, superseder) == superseder
    assert fate(State.SUPERSEDED) == Fate.FAILED
    assert fate(State.SUCCEEDED, superseder) == Fate.REMEDIATED
