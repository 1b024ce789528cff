"""When the timer has to look at an action: warnings and end of a decision, and when it is too late to begin."""

from datetime import datetime

from quell.actioncenter.v1 import action_pb2

from quell_actioncenter.domain.lifecycle import DECIDED, UNDECIDED, State
from quell_runtime.seams import when

WARNINGS = (0.5, 0.9)
"""Parts of the time for a decision after which a warning goes into the history."""


def due_time(action: action_pb2.Action, state: State, now: datetime) -> datetime | None:
    """Return the next time after `now` at which something happens to an action by itself; None: nothing does."""
    if state in DECIDED:
        return when(action.target_expire_time)
    if state not in UNDECIDED:
        return None
    asked, expires = when(action.create_time), when(action.decision_expire_time)
    warnings = [asked + (expires - asked) * part for part in WARNINGS]
    return next((time for time in warnings if time > now), expires)
