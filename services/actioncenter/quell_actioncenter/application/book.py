"""What one decision writes, in its transaction: actions moved by the table, their history, outbox and tallies.

Whoever decides opens a book over the view, moves actions, and closes it; nothing else in the house changes an action.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from quell.actioncenter.v1 import action_event_pb2, action_pb2
from quell.warrant.v1 import approval_pb2, preview_pb2, seal_pb2

from quell_actioncenter.application import history
from quell_actioncenter.application.deadlines import due_time
from quell_actioncenter.application.standing import counted, fate_through, standing
from quell_actioncenter.domain.errors import ActionUnknownError
from quell_actioncenter.domain.investigation import Fate, fate
from quell_actioncenter.domain.lifecycle import ENDED, UNDECIDED, Event, State, step
from quell_actioncenter.domain.records import ActionRecord, CounterRecord, EqualRecord, OutboxRecord
from quell_actioncenter.store.tables import ACTIONS, COUNTERS, EQUALS, INVESTIGATIONS, OUTBOX
from quell_runtime.kinds import kinds
from quell_runtime.seams import micros, stamp, when
from quell_runtime.store import Table, View, replace

Edit = Callable[[action_pb2.Action], object]
POLICY, CENTER = "policy", "center"
"""Who acts where the policy does, or the Action Center itself."""
SEQUENCE = "sequence"
OVERTAKES, CHANGES, ONLY_READS = 0, 1, 2
"""Places in the queues, as `OutboxRecord.order` has them."""


@dataclass(frozen=True)
class Note:
    """Who did something, why, and what proves it."""

    actor: str
    comment: str = ""
    vote: action_pb2.Vote | None = None
    sealed: seal_pb2.Sealed | None = None


@dataclass(frozen=True, slots=True)
class Go:
    """The decision that lets an action happen, and how long its target may take to begin."""

    decision: action_pb2.Decision
    wait: timedelta


def touched(names: Iterable[str]) -> list[tuple[Table[Any], str]]:
    """Return the rows that are read whenever one of these actions may move."""
    return [(table, name) for name in names for table in (ACTIONS, OUTBOX)]


def unchanged(_action: action_pb2.Action) -> None:
    """Edit nothing."""


class Book:
    """The changes of one decision. Rows that it is known to touch are best named in `expect` before."""

    def __init__(self, view: View, now: datetime) -> None:
        """Open it."""
        self.view = view
        self.now = now
        self._tallies: dict[str, Counter[str]] = {}

    def action(self, name: str) -> ActionRecord | None:
        """Return an action as it is now."""
        return self.view.get(ACTIONS, name)

    def known(self, name: str) -> ActionRecord:
        """Return an action that somebody names.

        Raises:
            ActionUnknownError: There is none.

        """
        record = self.action(name)
        if record is None:
            raise ActionUnknownError(f"there is no {name}", name=name)
        return record

    def expect(self, names: Iterable[str]) -> None:
        """Have actions read, with what moves with them."""
        names = tuple(names)
        self.view.expect(touched(names))
        found = [record for name in names if (record := self.view.get(ACTIONS, name)) and record.investigation]
        self.view.expect((INVESTIGATIONS, record.investigation) for record in found)
        self.view.expect((EQUALS, record.equal_key) for record in found if State(record.state) in UNDECIDED)

    def move(self, record: ActionRecord, event: Event, note: Note, edit: Edit = unchanged) -> ActionRecord:
        """Take an action where the event leads, with its history, outbox, tallies and equals; `edit` changes a copy.

        Raises:
            WrongStateError: The event can't happen now.

        """
        return self._write(record, step(State(record.state), event), event, note, edit)

    def remark(self, record: ActionRecord, event: str, note: Note, edit: Edit = unchanged) -> ActionRecord:
        """Note in its history what is no event of its life."""
        return self._write(record, State(record.state), event, note, edit)

    def let(self, record: ActionRecord, event: Event, note: Note, go: Go, edit: Edit = unchanged) -> ActionRecord:
        """Make an action QUEUED: decided, numbered, and with its time to begin."""
        sequence = self.draw(SEQUENCE)

        def edited(action: action_pb2.Action) -> None:
            edit(action)
            action.decision.CopyFrom(go.decision)
            action.sequence = sequence
            action.target_expire_time.CopyFrom(stamp(self._too_late(action, record.preview, go.wait)))

        return self.move(record, event, note, edited)

    def _too_late(self, action: action_pb2.Action, preview: bytes, wait: timedelta) -> datetime:
        """Return when it is too late to begin: never after it would be taken back, nor after what people approved."""
        ends = [self.now + wait]
        if action.HasField("revert_time"):
            ends.append(when(action.revert_time))
        if preview:
            ends.append(when(preview_pb2.Preview.FromString(preview).expire_time))
        sealed = [vote.approval.body for vote in action.votes if vote.HasField("approval")]
        ends += [when(approval_pb2.Approval.FromString(body).expire_time) for body in sealed]
        return min(ends)

    def draw(self, counter: str) -> int:
        """Return the next of a number that only grows, after a restore from backup too: it is never behind the time."""
        last = self.view.get(COUNTERS, counter)
        drawn = max(last.value + 1 if last else 1, micros(self.now))
        self.view.put(COUNTERS, CounterRecord(counter, drawn))
        return drawn

    def _write(self, record: ActionRecord, state: State, event: str, note: Note, edit: Edit) -> ActionRecord:
        action = action_pb2.Action()
        action.CopyFrom(record.action)
        action.state = state.wire
        edit(action)
        rests = state == record.state and action.snapshot_digest == record.action.snapshot_digest
        revision = record.revision + (not rests)
        if not rests:
            action.etag = str(revision)
        if state not in UNDECIDED:
            action.ClearField("approval_need")
        action.update_time.CopyFrom(stamp(self.now))
        after = replace(
            record,
            action=action,
            state=int(state),
            events=record.events + 1,
            last_event=self._enter(record, state, event, note),
            update_time=self.now,
            due_time=due_time(action, state, self.now),
            revision=revision,
            etag_time=record.etag_time if rests else self.now,
        )
        self.view.put(ACTIONS, after)
        self._send(after, state)
        self._settle(after)
        if State(record.state) in (State.NONE, *UNDECIDED) and state in (State.QUEUED, State.REJECTED):
            self._supersede_equals(after)
        return self.view.need(ACTIONS, after.name)

    def _enter(self, record: ActionRecord, state: State, event: str, note: Note) -> int:
        """Enter it into the action's history, and return the entry's number."""
        detail = action_event_pb2.ActionEvent(
            number=record.events + 1,
            time=stamp(self.now),
            actor=note.actor,
            event=event,
            state=state.wire,
            comment=note.comment,
            vote=note.vote,
            sealed=note.sealed,
        )
        return history.append(self.view, self.now, note.actor, f"action_{event}", record.name, detail)

    def _send(self, record: ActionRecord, state: State) -> None:
        """Keep in the outbox what is to be sent until it has its receipt, and nothing else."""
        if state in ENDED:
            self.view.drop(OUTBOX, record.name)
        elif state not in UNDECIDED:
            row = self.view.get(OUTBOX, record.name) or _outbox(record)
            self.view.put(OUTBOX, replace(row, state=int(state), cancel=record.action.HasField("cancel_request_time")))

    def _supersede_equals(self, decided: ActionRecord) -> None:
        """End what asks for the same in the same investigation and is still undecided."""
        row = self.view.get(EQUALS, decided.equal_key) if decided.equal_key else None
        for name in row.actions if row else ():
            other = self.action(name)
            if other is None or name == decided.name or State(other.state) not in UNDECIDED:
                continue
            self.superseded(other, Event.EQUAL_DECIDED, Note(POLICY, "An equal action was decided."), decided.name)

    def superseded(
        self, record: ActionRecord, event: Event, note: Note, by: str, edit: Edit = unchanged
    ) -> ActionRecord:
        """End an action that another came before; from now on it shares the other's fate."""
        other = self.action(by) if by else None
        if other is not None and record.name not in other.supersedes:
            self.view.put(ACTIONS, replace(other, supersedes=(*other.supersedes, record.name)))

        def edited(action: action_pb2.Action) -> None:
            edit(action)
            action.superseded_by = by

        return self.move(record, event, note, edited)

    def _settle(self, record: ActionRecord) -> None:
        """Count an action where it belongs now in its investigation, and those that share its fate with it."""
        now = self._fate(record)
        if now == record.fate:
            return
        if counted(record):
            self.count(record.investigation, {record.fate: -1, now: 1} if record.fate else {now: 1})
        self.view.put(ACTIONS, replace(record, fate=now))
        for name in record.supersedes:
            self._settle(self.view.need(ACTIONS, name))

    def _fate(self, record: ActionRecord) -> Fate:
        if record.state != State.SUPERSEDED:
            return fate(State(record.state))
        by = record.action.superseded_by
        return fate_through(self.action(by) if by else None)

    def equal_to(self, key: str) -> tuple[str, ...]:
        """Return the actions that have an equal key, oldest first."""
        row = self.view.get(EQUALS, key)
        return row.actions if row else ()

    def born(self, record: ActionRecord) -> None:
        """Note a new action among its equals, before it is moved for the first time."""
        if record.equal_key:
            self.view.put(EQUALS, EqualRecord(record.equal_key, (*self.equal_to(record.equal_key), record.name)))

    def count(self, investigation: str, changes: dict[str, int]) -> None:
        """Change an investigation's tallies; they are written when the book is closed."""
        self._tallies.setdefault(investigation, Counter()).update(changes)

    def close(self) -> None:
        """Write the tallies, and where each investigation is by them."""
        for name, changes in self._tallies.items():
            record = self.view.get(INVESTIGATIONS, name)
            if record is not None:
                number = self.view.need(COUNTERS, history.CHAIN).value
                self.view.put(INVESTIGATIONS, standing(record, changes, self.now, number))


def _outbox(record: ActionRecord) -> OutboxRecord:
    kind = kinds()[record.kind]
    lets_go = kind.release or bool(record.action.undo_of)
    return OutboxRecord(
        action=record.name,
        plane=record.plane,
        device=record.device,
        kind=record.kind,
        order=OVERTAKES if lets_go else ONLY_READS if kind.read_only else CHANGES,
        sequence=record.action.sequence,
        state=record.state,
    )
