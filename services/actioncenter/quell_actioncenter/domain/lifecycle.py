"""The life of an action: one table, one function.

The table is the only place in the code that knows which event leads where. `docs/lifecycle.md` says it for people,
written on its own; a test holds the two against each other for every pair. Nothing here does I/O or reads a clock.
"""

from collections.abc import Mapping
from enum import IntEnum, StrEnum, auto

from quell.actioncenter.v1 import action_pb2

from quell_runtime.errors import StateError


class State(IntEnum):
    """Where an action is. Names and numbers are those of `quell.actioncenter.v1.ActionState`; a test holds them equal.

    NONE is before its birth.
    """

    NONE = 0
    PENDING_APPROVAL = 1
    HELD = 2
    QUEUED = 3
    WAITING_FOR_TARGET = 4
    DISPATCHED = 5
    RUNNING = 6
    SUCCEEDED = 7
    PARTIALLY_SUCCEEDED = 8
    FAILED = 9
    TIMED_OUT = 10
    REJECTED = 11
    EXPIRED = 12
    CANCELED = 13
    SUPERSEDED = 14
    NOT_NEEDED = 15

    @property
    def wire(self) -> action_pb2.ActionState.ValueType:
        """The state as the contract writes it."""
        return action_pb2.ActionState.ValueType(self.value)


class Event(StrEnum):
    """What can happen to an action. The values are what its history shows."""

    # It is born, as the policy decides.
    LET = auto()
    ASKED = auto()
    HELD_BACK = auto()
    # People, and time, while it is undecided. APPROVED is the last vote that it needs.
    PREVIEWED = auto()
    VOTED_FOR = auto()
    APPROVED = auto()
    REJECTED = auto()
    DECISION_DUE = auto()
    DECISION_EXPIRED = auto()
    EQUAL_DECIDED = auto()
    # Until it is sent.
    CANCELED = auto()
    TARGET_AWAY = auto()
    TARGET_BACK = auto()
    TARGET_EXPIRED = auto()
    TARGET_BANNED = auto()
    TARGET_OFFBOARDED = auto()
    CLAIMED = auto()
    # After it was sent.
    PLAN_JOURNALED = auto()
    CANCEL_REQUESTED = auto()
    WRITTEN_OFF = auto()
    # A receipt came: what it says.
    FOUND_IN_FORCE = auto()
    FOUND_PARTLY_IN_FORCE = auto()
    FOUND_NOTHING_TO_DO = auto()
    FOUND_NOT_IN_FORCE = auto()
    FOUND_UNKNOWN = auto()
    STOPPED = auto()
    READING_STOPPED = auto()
    CAME_TOO_LATE = auto()
    NEWER_CAME_FIRST = auto()
    CALLED_OFF = auto()
    REFUSED = auto()
    # After its end.
    UNDO_ASKED = auto()
    UNDONE = auto()
    RETRY_ASKED = auto()
    TAKEN_OVER = auto()
    # What became of its effect, by the executor; after a restore from backup it may be heard before the receipt is.
    EFFECT_REPORTED = auto()


UNDECIDED = (State.PENDING_APPROVAL, State.HELD)
DECIDED = (State.QUEUED, State.WAITING_FOR_TARGET)
UNSENT = (*UNDECIDED, *DECIDED)
SENT = (State.DISPATCHED, State.RUNNING)
LIVE = (*UNSENT, *SENT)
ENDED = tuple(state for state in State if state not in {State.NONE, *LIVE})
RETRYABLE = (State.FAILED, State.TIMED_OUT, State.EXPIRED)

ENDED_BY_RECEIPT: Mapping[Event, State] = {
    Event.FOUND_IN_FORCE: State.SUCCEEDED,
    Event.FOUND_PARTLY_IN_FORCE: State.PARTIALLY_SUCCEEDED,
    Event.FOUND_NOTHING_TO_DO: State.NOT_NEEDED,
    Event.FOUND_NOT_IN_FORCE: State.FAILED,
    Event.FOUND_UNKNOWN: State.FAILED,
    Event.STOPPED: State.PARTIALLY_SUCCEEDED,
    Event.READING_STOPPED: State.CANCELED,
    Event.CAME_TOO_LATE: State.TIMED_OUT,
    Event.NEWER_CAME_FIRST: State.SUPERSEDED,
    Event.CALLED_OFF: State.CANCELED,
    Event.REFUSED: State.FAILED,
}

NEXT: Mapping[tuple[State, Event], State] = {
    (State.NONE, Event.LET): State.QUEUED,
    (State.NONE, Event.ASKED): State.PENDING_APPROVAL,
    (State.NONE, Event.HELD_BACK): State.HELD,
    **{
        (state, event): state for state in UNDECIDED for event in (Event.PREVIEWED, Event.VOTED_FOR, Event.DECISION_DUE)
    },
    **{(state, Event.APPROVED): State.QUEUED for state in UNDECIDED},
    **{(state, Event.REJECTED): State.REJECTED for state in UNDECIDED},
    **{(state, Event.DECISION_EXPIRED): State.EXPIRED for state in UNDECIDED},
    **{(state, Event.EQUAL_DECIDED): State.SUPERSEDED for state in UNDECIDED},
    **{(state, Event.CANCELED): State.CANCELED for state in UNSENT},
    (State.QUEUED, Event.TARGET_AWAY): State.WAITING_FOR_TARGET,
    (State.WAITING_FOR_TARGET, Event.TARGET_BACK): State.QUEUED,
    **{(state, Event.TARGET_EXPIRED): State.TIMED_OUT for state in DECIDED},
    **{(state, Event.TARGET_BANNED): State.FAILED for state in LIVE},
    **{(state, Event.TARGET_OFFBOARDED): State.CANCELED for state in UNSENT},
    # What was sent may have been carried out: it is lost, and its effect unknown.
    **{(state, Event.TARGET_OFFBOARDED): State.FAILED for state in SENT},
    **{(state, Event.CLAIMED): State.DISPATCHED for state in DECIDED},
    (State.DISPATCHED, Event.PLAN_JOURNALED): State.RUNNING,
    **{(state, Event.CANCEL_REQUESTED): state for state in SENT},
    **{(state, Event.WRITTEN_OFF): State.FAILED for state in SENT},
    # A receipt may be the first that we hear after a restore from backup, so it counts in every state; after the end
    # it changes the outcome alone.
    **{(state, event): end for state in LIVE for event, end in ENDED_BY_RECEIPT.items()},
    **{(state, event): state for state in ENDED for event in ENDED_BY_RECEIPT},
    **{(state, event): state for state in ENDED for event in (Event.UNDO_ASKED, Event.UNDONE, Event.TAKEN_OVER)},
    **{(state, Event.RETRY_ASKED): state for state in RETRYABLE},
    **{(state, Event.EFFECT_REPORTED): state for state in (*LIVE, *ENDED)},
}


class WrongStateError(StateError):
    """The event can't happen to an action in this state. Carries `state` and `event`; nothing was changed."""

    reason = "WRONG_STATE"

    def __init__(self, state: State, event: Event) -> None:
        """Say which."""
        super().__init__(f"{event} can't happen to an action that is {state.name}", state=state.name)
        self.state = state
        self.event = event


def step(state: State, event: Event) -> State:
    """Return the state after the event.

    Raises:
        WrongStateError: The event can't happen now.

    """
    try:
        return NEXT[state, event]
    except KeyError:
        raise WrongStateError(state, event) from None
