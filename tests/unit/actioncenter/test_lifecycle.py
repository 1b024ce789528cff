"""An action's life is the one that its documentation promises."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quell.actioncenter.v1 import action_pb2

from documentation import promised_transitions, tables
from quell_actioncenter.domain.lifecycle import (
    ENDED,
    ENDED_BY_RECEIPT,
    LIVE,
    SENT,
    UNDECIDED,
    UNSENT,
    Event,
    State,
    WrongStateError,
    step,
)

PROMISED = promised_transitions("lifecycle.md")
STATES = st.sampled_from(State)
EVENTS = st.sampled_from(Event)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_every_pair_is_answered_as_promised(state: State, event: Event) -> None:
    """Each event either leads where the documentation says, or is refused."""
    if (state, event) in PROMISED:
        assert step(state, event) == PROMISED[state, event]
    else:
        with pytest.raises(WrongStateError) as refusal:
            step(state, event)
        assert (refusal.value.state, refusal.value.event) == (state, event)


def test_the_states_are_those_of_the_contract() -> None:
    """Names and numbers agree, and what the contract calls terminal is what we call ended."""
    ours = {f"ACTION_STATE_{state.name}": int(state) for state in State if state != State.NONE}
    assert ours | {"ACTION_STATE_UNSPECIFIED": 0} == dict(action_pb2.ActionState.items())
    assert all(action_pb2.ActionState.Name(state.wire).endswith(state.name) for state in State if state)


def test_every_state_is_explained() -> None:
    """The documentation has a line for each, in order."""
    explained = next(table for table in tables("lifecycle.md") if "what it means" in table[0])
    assert [row["state"] for row in explained] == [state.name for state in State if state != State.NONE]


def test_every_event_can_happen() -> None:
    """There is no event without a row."""
    assert {event for _, event in PROMISED} == set(Event)


def test_states_are_in_one_group_each() -> None:
    """Undecided, decided, sent and ended share nothing and are all."""
    assert sorted((State.NONE, *UNSENT, *SENT, *ENDED)) == sorted(State)
    assert sorted(LIVE) == sorted((*UNSENT, *SENT))


@given(st.lists(EVENTS, max_size=40))
def test_no_story_leaves_an_end_or_goes_back(events: list[Event]) -> None:
    """Whatever happens, in whatever order: an end stays, what is decided stays decided, what was sent stays sent."""
    state = State.NONE
    for event in events:
        try:
            after = step(state, event)
        except WrongStateError:
            continue
        if state in ENDED:
            assert after == state
        if state in SENT:
            assert after in (*SENT, *ENDED)
        if state not in (*UNDECIDED, State.NONE):
            assert after not in UNDECIDED
        assert after != State.NONE
        state = after


@given(STATES.filter(lambda state: state != State.NONE), st.sampled_from(sorted(ENDED_BY_RECEIPT)))
def test_a_receipt_counts_in_every_state(state: State, event: Event) -> None:
    """It ends what lives, and leaves an end as it is."""
    assert step(state, event) == (state if state in ENDED else ENDED_BY_RECEIPT[event])


@pytest.mark.parametrize("state", SENT)
def test_what_was_sent_ends_by_a_receipt_or_a_write_off_alone(state: State) -> None:
    """No clock, no cancel and no vote ends it."""
    endings = {event for event in Event if (state, event) in PROMISED and PROMISED[state, event] in ENDED}
    lost = {Event.WRITTEN_OFF, Event.TARGET_BANNED, Event.TARGET_OFFBOARDED}
    assert endings == {*ENDED_BY_RECEIPT, *lost}
