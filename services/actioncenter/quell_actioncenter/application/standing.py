"""How an action counts for its investigation, and what an investigation is by its tallies."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime

from quell.actioncenter.v1 import investigation_pb2

from quell_actioncenter.domain.investigation import Facts, Fate, outcome_of, state_of
from quell_actioncenter.domain.lifecycle import ENDED, State
from quell_actioncenter.domain.records import ActionRecord, InvestigationRecord
from quell_runtime.kinds import kinds
from quell_runtime.seams import stamp
from quell_runtime.store import replace

_FACTS = tuple(field.name for field in fields(Facts) if field.name != "analysis_failed")


def counted(record: ActionRecord) -> bool:
    """Tell whether an investigation counts the action: undo is linked, not counted."""
    return bool(record.investigation) and not record.action.undo_of


def fate_through(superseder: ActionRecord | None) -> Fate:
    """Return the fate of what a known action came before."""
    if superseder is None:
        return Fate.FAILED
    if superseder.action.undo_of or kinds()[superseder.kind].release:
        return Fate.REJECTED
    return Fate(superseder.fate) if State(superseder.state) in ENDED else Fate.RUNNING


def facts_of(record: InvestigationRecord) -> Facts:
    """Return what the state follows from."""
    known = {name: getattr(record, name) for name in _FACTS}
    return Facts(**known, analysis_failed=bool(record.investigation.analysis_failure))


def standing(
    record: InvestigationRecord, changes: Mapping[str, int], now: datetime, last_event: int
) -> InvestigationRecord:
    """Return the investigation after its tallies changed, with state, outcome and times that follow."""
    counts = {name: getattr(record, name) + change for name, change in changes.items()}
    record = replace(record, **counts, update_time=now, last_event=last_event)
    facts = facts_of(record)
    state = state_of(facts)
    shown = investigation_pb2.Investigation()
    shown.CopyFrom(record.investigation)
    shown.state = state.wire
    shown.outcome.CopyFrom(outcome_of(facts))
    shown.update_time.CopyFrom(stamp(now))
    if not state.ended:
        shown.ClearField("end_time")
    elif not shown.HasField("end_time"):
        shown.end_time.CopyFrom(stamp(now))
    return replace(record, investigation=shown, state=int(state))
