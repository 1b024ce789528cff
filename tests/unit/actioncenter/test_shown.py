"""An action is shown as it is at the moment of reading."""

from dataclasses import replace
from datetime import timedelta

import pytest
from quell.actioncenter.v1 import action_pb2
from quell.remediation.v1 import outcome_pb2

from kept_actions import QUEUED, RUNNING, START, SUCCEEDED, action
from quell_actioncenter.application.shown import shown
from quell_actioncenter.domain.policy_yaml import default_document, read_policy
from quell_runtime.seams import stamp

POLICY = read_policy(default_document())
HALF = action_pb2.Progress(percent=50)


def test_progress_is_shown_only_while_it_runs() -> None:
    """What an executor said last is nothing once the action has moved on, and never part of what is kept."""
    running, queued = action(1, RUNNING), action(2, QUEUED)
    assert shown(running, HALF, POLICY, START).progress == HALF
    assert not running.action.HasField("progress")
    assert shown(queued, HALF, POLICY, START) is queued.action
    assert shown(running, None, POLICY, START) is running.action


@pytest.mark.parametrize(
    ("days", "undo"), [(29, outcome_pb2.UNDO_STATE_POSSIBLE), (31, outcome_pb2.UNDO_STATE_EXPIRED)]
)
def test_undo_that_came_too_late_is_shown_as_expired(days: int, undo: int) -> None:
    """The policy's time for undo of the kind, 30 days, begins with the receipt."""
    record = action(1, SUCCEEDED)
    done = action_pb2.Action()
    done.CopyFrom(record.action)
    done.outcome.undo = outcome_pb2.UNDO_STATE_POSSIBLE
    done.outcome.end_time.CopyFrom(stamp(START))
    assert shown(replace(record, action=done), None, POLICY, START + timedelta(days=days)).outcome.undo == undo
    assert done.outcome.undo == outcome_pb2.UNDO_STATE_POSSIBLE
