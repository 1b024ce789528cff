"""Records of the Action Center for tests of its reading side: written as the use cases write them, chained and all."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from quell.actioncenter.v1 import action_event_pb2, action_pb2, investigation_pb2
from quell.remediation.v1 import email_pb2, remediation_pb2

from quell_actioncenter.application import history
from quell_actioncenter.domain.records import ActionRecord, InvestigationRecord
from quell_actioncenter.store.tables import ACTIONS, INVESTIGATIONS
from quell_runtime.seams import stamp
from quell_runtime.store import Store, View

START = datetime(2026, 11, 1, tzinfo=UTC)
PENDING = action_pb2.ACTION_STATE_PENDING_APPROVAL
QUEUED = action_pb2.ACTION_STATE_QUEUED
RUNNING = action_pb2.ACTION_STATE_RUNNING
SUCCEEDED = action_pb2.ACTION_STATE_SUCCEEDED


def name_of(number: int) -> str:
    """Return the name of a test's action."""
    return f"actions/{uuid.UUID(int=number)}"


def action(number: int, state: int = PENDING) -> ActionRecord:
    """Return an action that blocks a URL; actions of higher numbers were asked for later."""
    asked = START + timedelta(minutes=number)
    shown = action_pb2.Action(
        name=name_of(number),
        remediation=remediation_pb2.Remediation(block_url=email_pb2.BlockUrl(pattern=f"https://{number}.example/*")),
        state=action_pb2.ActionState.ValueType(state),
        create_time=stamp(asked),
    )
    return ActionRecord(
        name=shown.name,
        action=shown,
        state=state,
        kind="block_url",
        plane="email",
        device="",
        target=f"https://{number}.example/*",
        investigation="",
        equal_key="",
        content=b"",
        fate="",
        create_time=asked,
        update_time=asked,
        etag_time=asked,
        due_time=None,
        last_event=0,
    )


def investigation(number: int, detector: str = "xdr", state: int = 3) -> InvestigationRecord:
    """Return an investigation."""
    begun = START + timedelta(minutes=number)
    shown = investigation_pb2.Investigation(
        name=f"investigations/{detector}.{number}",
        title=f"number {number}",
        state=investigation_pb2.InvestigationState.ValueType(state),
        create_time=stamp(begun),
    )
    return InvestigationRecord(shown.name, shown, detector, state, b"", begun, begun, 0)


async def keep(store: Store, records: Sequence[ActionRecord]) -> None:
    """Write actions, each with its entry in the log, in one decision."""

    def decide(view: View) -> None:
        for record in records:
            _keep_action(view, record)

    await store.change(decide, reads=[(ACTIONS, record.name) for record in records])


async def keep_investigations(store: Store, records: Sequence[InvestigationRecord]) -> None:
    """Write investigations with one entry in the log for all, as a decision that changes many does."""

    def decide(view: View) -> None:
        number = history.append(view, START, "xdr", "investigation_tested", records[0].name)
        for record in records:
            view.put(INVESTIGATIONS, replace(record, last_event=number))

    await store.change(decide, reads=[(INVESTIGATIONS, record.name) for record in records])


def _keep_action(view: View, record: ActionRecord) -> None:
    before = view.get(ACTIONS, record.name)
    events = before.events + 1 if before else 1
    detail = action_event_pb2.ActionEvent(number=events, event="tested", state=record.action.state)
    number = history.append(view, record.update_time, "ann", "action_tested", record.name, detail)
    view.put(ACTIONS, replace(record, last_event=number, events=events))


async def move(store: Store, number: int, state: int) -> None:
    """Take a kept action to another state."""
    record = await store.load(ACTIONS, name_of(number))
    assert record is not None
    shown = action_pb2.Action()
    shown.CopyFrom(record.action)
    shown.state = action_pb2.ActionState.ValueType(state)
    await keep(store, [replace(record, action=shown, state=state)])
