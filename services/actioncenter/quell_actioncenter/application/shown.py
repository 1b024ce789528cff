"""An action as it is at the moment of reading: what changes without a decision is laid over what is kept."""

from datetime import datetime

from quell.actioncenter.v1 import action_pb2
from quell.remediation.v1 import outcome_pb2

from quell_actioncenter.domain.lifecycle import State
from quell_actioncenter.domain.policy_document import Policy
from quell_actioncenter.domain.records import ActionRecord
from quell_runtime.seams import when


def shown(
    record: ActionRecord, progress: action_pb2.Progress | None, policy: Policy, now: datetime
) -> action_pb2.Action:
    """Return the action with how far its executor is, and whether the time in which it can be undone is over."""
    moves = progress is not None and record.state == State.RUNNING
    over = _undo_is_over(record, policy, now)
    if not (moves or over):
        return record.action
    found = action_pb2.Action()
    found.CopyFrom(record.action)
    if progress is not None and moves:
        found.progress.CopyFrom(progress)
    if over:
        found.outcome.undo = outcome_pb2.UNDO_STATE_EXPIRED
    return found


def _undo_is_over(record: ActionRecord, policy: Policy, now: datetime) -> bool:
    outcome = record.action.outcome
    if outcome.undo != outcome_pb2.UNDO_STATE_POSSIBLE:
        return False
    return now > when(outcome.end_time) + policy.times.undo.of(record.kind)
