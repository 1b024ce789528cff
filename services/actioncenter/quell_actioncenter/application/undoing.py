"""Whether an action can be taken back, and the action that does it."""

import uuid

from quell.actioncenter.v1 import action_pb2
from quell.remediation.v1 import outcome_pb2

from quell_actioncenter.application import births
from quell_actioncenter.application.births import Birth, InForce
from quell_actioncenter.application.book import POLICY, Book, Note
from quell_actioncenter.domain import decision
from quell_actioncenter.domain.decision import Decision
from quell_actioncenter.domain.errors import ActionNotUndoableError, NotTheNewestError, UndoOpenError
from quell_actioncenter.domain.lifecycle import ENDED, Event, State
from quell_actioncenter.domain.records import ActionRecord
from quell_actioncenter.store.tables import ACTIONS
from quell_runtime.errors import StateError
from quell_runtime.kinds import kinds
from quell_runtime.seams import when
from quell_runtime.store import replace

PROPOSED = uuid.UUID("5f7d4f0a-2b68-5b7e-9d3c-6c1f1f2d9a02")
"""Namespace of the ids of undo actions that the policy proposes."""
RULE_FELL = "verdict-fell"


def check_undo(book: Book, in_force: InForce, record: ActionRecord) -> None:
    """Refuse what can't be taken back.

    Raises:
        ActionNotUndoableError: There is nothing to take back, its time is over, or it lets go itself.
        NotTheNewestError: A later action owns the effect.
        UndoOpenError: Another undo is under way.

    """
    kind = kinds()[record.kind]
    if record.action.undo_of or kind.release:
        raise ActionNotUndoableError("what lets go is not undone: ask for the action anew", state="LETS_GO")
    owner = newest(book, record)
    if owner.name != record.name:
        raise NotTheNewestError(f"{owner.name} owns its effect now: undo that", action=owner.name)
    _check_possible(book, in_force, record)
    undo = book.action(record.undo) if record.undo else None
    if undo is not None and State(undo.state) not in ENDED:
        raise UndoOpenError(f"{undo.name} takes it back already", action=undo.name)


def _check_possible(book: Book, in_force: InForce, record: ActionRecord) -> None:
    state = State(record.state)
    if state not in ENDED:
        raise ActionNotUndoableError(f"it is {state.name}: cancel it, or wait for its end", state=state.name)
    undo = record.action.outcome.undo
    if undo == outcome_pb2.UNDO_STATE_DONE:
        raise ActionNotUndoableError(f"{record.action.undone_by or 'its own time'} took it back already", state="DONE")
    if undo != outcome_pb2.UNDO_STATE_POSSIBLE:
        raise ActionNotUndoableError("its receipt says that there is nothing to take back, or no way", state=state.name)
    if book.now > when(record.action.outcome.end_time) + in_force.policy.times.undo.of(record.kind):
        raise ActionNotUndoableError("the time in which it can be undone is over", state="EXPIRED")


def newest(book: Book, record: ActionRecord) -> ActionRecord:
    """Return the action that owns the effect of another."""
    seen = {record.name}
    while record.action.taken_over_by:
        owner = book.action(record.action.taken_over_by[-1])
        if owner is None or owner.name in seen:
            break
        record = owner
        seen.add(record.name)
    return record


def can_undo(book: Book, in_force: InForce, record: ActionRecord) -> bool:
    """Tell whether it can be taken back now."""
    try:
        check_undo(book, in_force, record)
    except StateError:
        return False
    return True


def bear_undo(book: Book, in_force: InForce, record: ActionRecord, birth: Birth, note: Note) -> ActionRecord:
    """Bring an undo into being and link it."""
    undo = births.bear(book, in_force, birth)
    record = book.move(book.view.need(ACTIONS, record.name), Event.UNDO_ASKED, note)
    book.view.put(ACTIONS, replace(record, undo=undo.name))
    return book.view.need(ACTIONS, undo.name)


def propose_undo(book: Book, in_force: InForce, record: ActionRecord) -> None:
    """Propose to people to take back what nothing asks for any more."""
    acting = decision.acting_kind(kinds()[record.kind], undo=True)
    decided = Decision(
        Event.ASKED,
        RULE_FELL,
        decision.approve_permission(acting.name),
        decision.people(in_force.policy, acting.name, held=False),
        ("the verdict that asked for the action has changed",),
    )
    origin = action_pb2.Origin(
        policy=action_pb2.PolicyOrigin(
            evidence=record.action.origin.policy.evidence, rule=RULE_FELL, policy=in_force.name
        ),
        investigation=record.investigation,
    )
    note = Note(POLICY, "The verdict that asked for it has changed.")
    birth = Birth(
        name=f"actions/{uuid.uuid5(PROPOSED, f'{record.name}/{record.events}')}",
        remediation=record.action.remediation,
        origin=origin,
        decision=decided,
        note=note,
        undo_of=record.name,
    )
    bear_undo(book, in_force, record, birth, note)
