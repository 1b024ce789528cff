"""The register of effects in force: by receipts and effect reports alone, never by what was asked for."""

import hashlib
from datetime import datetime
from typing import TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp
from quell.actioncenter.v1 import action_pb2, effect_pb2
from quell.remediation.v1 import failure_pb2, outcome_pb2, remediation_pb2
from quell.warrant.v1 import effect_report_pb2

from quell_actioncenter.application.births import target_of
from quell_actioncenter.application.book import Book, Note
from quell_actioncenter.domain.lifecycle import Event
from quell_actioncenter.domain.records import ActionRecord, EffectRecord
from quell_actioncenter.store.tables import ACTIONS, EFFECTS
from quell_runtime.kinds import device_of, kind_of, kinds
from quell_runtime.seams import stamp, when
from quell_runtime.store import replace

EffectState: TypeAlias = outcome_pb2.EffectState.ValueType
SHOWN = (
    outcome_pb2.EFFECT_STATE_IN_FORCE,
    outcome_pb2.EFFECT_STATE_ALREADY_IN_FORCE,
    outcome_pb2.EFFECT_STATE_PARTLY_IN_FORCE,
    outcome_pb2.EFFECT_STATE_UNKNOWN,
)
"""What an effect must be found to be to stand in the register."""
LET_GO = (effect_report_pb2.EFFECT_EVENT_REVERTED_BY_TIME, effect_report_pb2.EFFECT_EVENT_ROLLED_BACK)
"""After these nothing is left to undo."""


def name_of(action: str) -> str:
    """Return the name of an action's effect."""
    return "effects/" + action.removeprefix("actions/")


def name_inherited(remediation: remediation_pb2.Remediation) -> str:
    """Return the name of an effect that an older identity left: the same for the same."""
    return "effects/" + hashlib.sha256(remediation.SerializeToString(deterministic=True)).hexdigest()[:32]


def keeps(record: ActionRecord) -> bool:
    """Tell whether an action can have an effect in force of its own: it makes one, and nobody took it over or back."""
    action = record.action
    made = kinds()[record.kind].undoable and not action.undo_of
    return made and not action.undone_by and not action.taken_over_by


def told_gone(book: Book, record: ActionRecord, at: datetime) -> bool:
    """Tell whether a newer report than what was said then has an action's effect gone.

    After a restore from an older copy a receipt may come again that something has happened to since.
    """
    newer = record.effect_report and record.effect_time and record.effect_time > at
    return bool(newer) and book.view.get(EFFECTS, name_of(record.name)) is None


def found(book: Book, record: ActionRecord, since: datetime | None = None) -> None:
    """Enter, change or remove an action's effect by its newest outcome; `since` is that of what it took over."""
    outcome = record.action.outcome
    if outcome.effect not in SHOWN:
        gone(book, record.name)
        return
    began = when(outcome.start_time if outcome.HasField("start_time") else outcome.end_time)
    effect = _of_action(book, record, stamp(min(since or began, began)))
    effect.item_count = outcome.items.done_items or outcome.items.total_items
    _put(book, effect, outcome.effect, when(outcome.end_time), record.action.failure)


def take_report(book: Book, record: ActionRecord, report: effect_report_pb2.EffectReport, note: Note) -> None:
    """Enter what an executor reports of an action's effect, and note in its history what is news."""
    known = book.view.get(EFFECTS, name_of(record.name))
    if report.id == record.effect_report or (record.effect_time and when(report.time) < record.effect_time):
        return
    record = replace(record, effect_time=when(report.time), effect_report=report.id)
    if known is None and not keeps(record):
        # Taken back or over; but what an undo has left in force is still looked at.
        shown = False
    elif report.effect not in SHOWN:
        shown = known is not None
        gone(book, record.name)
    else:
        shown = known is None or known.state != _normal(report.effect) or known.effect.failure != report.failure
        effect = _of_action(book, record, report.time)
        effect.last_event = report.event
        _put(book, effect, report.effect, when(report.time), report.failure)
    if not shown and report.event == effect_report_pb2.EFFECT_EVENT_PROBED:
        # Still as it was known to be: its history need not grow with every connect.
        book.view.put(ACTIONS, record)
        return
    event = effect_report_pb2.EffectEvent.Name(report.event).removeprefix("EFFECT_EVENT_").lower()
    done = report.event in LET_GO and report.effect not in SHOWN

    def edit(action: action_pb2.Action) -> None:
        if done and action.HasField("outcome"):
            action.outcome.undo = outcome_pb2.UNDO_STATE_DONE

    book.move(record, Event.EFFECT_REPORTED, replace(note, comment=event), edit)


def inherited(book: Book, report: effect_report_pb2.EffectReport) -> None:
    """Enter an effect that a new identity found, made by an old one."""
    name = name_inherited(report.inherited)
    if report.effect not in SHOWN:
        book.view.drop(EFFECTS, name)
        return
    effect = _effect(book, name, report.inherited, report.time)
    effect.last_event = report.event
    _put(book, effect, report.effect, when(report.time), report.failure)


def left(book: Book, undone: ActionRecord, undo: ActionRecord) -> None:
    """Show what an undo has left in force, and why."""
    effect = _of_action(book, undone, stamp(book.now))
    at = when(undo.action.outcome.end_time)
    _put(book, effect, outcome_pb2.EFFECT_STATE_PARTLY_IN_FORCE, at, undo.action.failure)


def gone(book: Book, action: str) -> datetime | None:
    """Remove an action's effect; return since when it was in force."""
    known = book.view.get(EFFECTS, name_of(action))
    book.view.drop(EFFECTS, name_of(action))
    return known.start_time if known else None


def _put(
    book: Book,
    effect: effect_pb2.Effect,
    state: EffectState,
    at: datetime,
    failure: failure_pb2.Failure,
) -> None:
    effect.state = _normal(state)
    effect.probe_time.CopyFrom(stamp(at))
    effect.ClearField("failure")
    if failure.reason:
        effect.failure.CopyFrom(failure)
    record = EffectRecord(
        name=effect.name,
        effect=effect,
        kind=kind_of(effect.remediation).name,
        target=target_of(effect.remediation),
        device=device_of(effect.remediation),
        action=effect.action,
        state=effect.state,
        start_time=when(effect.start_time),
        probe_time=at,
    )
    book.view.put(EFFECTS, record)


def _of_action(book: Book, record: ActionRecord, start: Timestamp) -> effect_pb2.Effect:
    effect = _effect(book, name_of(record.name), record.action.remediation, start)
    effect.action = record.name
    if record.action.HasField("revert_time"):
        effect.revert_time.CopyFrom(record.action.revert_time)
    return effect


def _effect(book: Book, name: str, remediation: remediation_pb2.Remediation, start: Timestamp) -> effect_pb2.Effect:
    """Return an effect to be changed: as it stands in the register, or a new one that has begun then."""
    effect = effect_pb2.Effect(name=name, remediation=remediation, start_time=start)
    if known := book.view.get(EFFECTS, name):
        effect.CopyFrom(known.effect)
    return effect


def _normal(state: EffectState) -> EffectState:
    """Return how the register says it: what was so already is in force."""
    already = state == outcome_pb2.EFFECT_STATE_ALREADY_IN_FORCE
    return outcome_pb2.EFFECT_STATE_IN_FORCE if already else state
