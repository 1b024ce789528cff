"""What the Action Center must keep to, looked at in each of its commits."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from quell.actioncenter.v1 import action_pb2
from quell.remediation.v1 import outcome_pb2
from quell.warrant.v1 import receipt_pb2

from quell_actioncenter.application.history import BEGINNING, action_event_of, holds
from quell_actioncenter.domain.lifecycle import ENDED, NEXT, SENT, UNDECIDED, Event, State
from quell_actioncenter.domain.policy_document import Budget
from quell_actioncenter.domain.records import ActionRecord, EventRecord
from quell_actioncenter.store.tables import ACTIONS, EVENTS
from quell_runtime.kinds import kinds
from quell_runtime.seams import when
from quell_runtime.store import Statement
from simulation.disk import Written
from simulation.mirror import CENTER, Mirror

EVENT_NAMES = frozenset(map(str, Event))
GIVEN_UP = (Event.WRITTEN_OFF, Event.TARGET_BANNED, Event.TARGET_OFFBOARDED)
EFFECTS: Mapping[int, State] = {
    outcome_pb2.EFFECT_STATE_IN_FORCE: State.SUCCEEDED,
    outcome_pb2.EFFECT_STATE_PARTLY_IN_FORCE: State.PARTIALLY_SUCCEEDED,
    outcome_pb2.EFFECT_STATE_ALREADY_IN_FORCE: State.NOT_NEEDED,
    outcome_pb2.EFFECT_STATE_TARGET_GONE: State.NOT_NEEDED,
    outcome_pb2.EFFECT_STATE_NOT_IN_FORCE: State.FAILED,
    outcome_pb2.EFFECT_STATE_UNKNOWN: State.FAILED,
}
"""The table of what receipts mean, written on its own."""
DISPOSITIONS: Mapping[int, State] = {
    receipt_pb2.DISPOSITION_EXPIRED: State.TIMED_OUT,
    receipt_pb2.DISPOSITION_SUPERSEDED: State.SUPERSEDED,
    receipt_pb2.DISPOSITION_CANCELED: State.CANCELED,
    receipt_pb2.DISPOSITION_REFUSED: State.FAILED,
}


def promised(receipt: receipt_pb2.Receipt, *, reads: bool) -> State:
    """Return the state that a receipt leads to."""
    if receipt.disposition == receipt_pb2.DISPOSITION_CARRIED_OUT:
        return EFFECTS[receipt.outcome.effect]
    if receipt.disposition == receipt_pb2.DISPOSITION_STOPPED:
        return State.CANCELED if reads else State.PARTIALLY_SUCCEEDED
    return DISPOSITIONS[receipt.disposition]


@dataclass
class CenterOracle:
    """Checks commits. `receipts` are those that executors have journaled, by id."""

    violated: Callable[[int, str], None]
    receipts: Mapping[str, receipt_pb2.Receipt]
    budgets: Sequence[Budget]
    mirror: Mirror = field(default_factory=lambda: Mirror(CENTER))
    chain: tuple[int, bytes] = (0, BEGINNING)
    used: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    told: list[tuple[str, str]] = field(default_factory=list)
    """Votes that were acknowledged: action and vote id."""
    known: set[str] = field(default_factory=set)
    """Actions whose birth was acknowledged."""

    def stored(self, writes: Sequence[Statement]) -> None:
        """Look at a commit."""
        written = self.mirror.read(writes)
        events = [one.record for one in written if one.table is EVENTS]
        self._chained(events)
        for one in written:
            if one.table is ACTIONS:
                self._action(one, [event for event in events if event.resource == one.key])
        self.mirror.put(written)

    def opened(self) -> None:
        """Look at what a disk holds when a life begins."""
        log = self.mirror.of(EVENTS)
        newest = log.get(max(log, default=0))
        self.chain = (newest.number, newest.hash) if newest else (0, BEGINNING)
        self.remembered()

    def acknowledged(self, name: str, vote_id: str = "") -> None:
        """Hear that somebody was told of a birth or a vote: it is stored by now, and stays so."""
        if name not in self.mirror.of(ACTIONS) or (vote_id and not self._has(name, vote_id)):
            self.violated(3, f"{vote_id} {name} was acknowledged and is not stored")
        self.known.add(name)
        if vote_id:
            self.told.append((name, vote_id))

    def remembered(self) -> None:
        """Look for all that was acknowledged."""
        for name, vote_id in self.told:
            if not self._has(name, vote_id):
                self.violated(3, f"the vote {vote_id} on {name} was acknowledged and is lost")
        for name in sorted(self.known - self.mirror.of(ACTIONS).keys()):
            self.violated(3, f"{name} was acknowledged and is lost")

    def _has(self, name: str, vote_id: str) -> bool:
        record = self.mirror.of(ACTIONS).get(name)
        return record is not None and vote_id in [vote.vote_id for vote in record.action.votes]

    def restored(self) -> None:
        """Forget what an older copy can't know."""
        self.told = [(name, vote_id) for name, vote_id in self.told if self._has(name, vote_id)]
        self.known &= self.mirror.of(ACTIONS).keys()
        self.used = {name: use for name, use in self.used.items() if name in self.mirror.of(ACTIONS)}

    def _chained(self, events: Sequence[EventRecord]) -> None:
        for event in sorted(events, key=lambda event: event.number):
            number, before = self.chain
            if event.number != number + 1 or not holds(event, before):
                self.violated(8, f"event {event.number} does not follow {number}")
            self.chain = (event.number, event.hash)

    def _action(self, written: Written, events: Sequence[EventRecord]) -> None:
        after: ActionRecord = written.record
        before = self.mirror.of(ACTIONS).get(written.key)
        self._history(before, after, events)
        state = State(before.state) if before else State.NONE
        if state != after.state:
            self._moved(state, after, events)
        if after.receipts and (before is None or before.action != after.action):
            self._as_the_receipts_say(after)

    def _history(self, before: ActionRecord | None, after: ActionRecord, events: Sequence[EventRecord]) -> None:
        """Each change of state has its event, in order, and leads where the table says."""
        state, number = (before.state, before.events) if before else (int(State.NONE), 0)
        for event in map(action_event_of, sorted(events, key=lambda event: event.number)):
            number += 1
            if event.number != number:
                self.violated(8, f"{after.name}: event {event.number} where {number} was due")
            expected = NEXT.get((State(state), Event(event.event))) if event.event in EVENT_NAMES else State(state)
            # An event that takes place in no state of the table can be remarked, and then changes none.
            if expected is None:
                expected = State(state)
            if int(event.state) != int(expected):
                self.violated(8, f"{after.name}: {event.event} led from {State(state).name} to {event.state}")
            state = event.state
        if (state, number) != (after.state, after.events) or int(after.action.state) != after.state:
            self.violated(8, f"{after.name} is {State(after.state).name}, its history says {State(state).name}")

    def _moved(self, state: State, after: ActionRecord, events: Sequence[EventRecord]) -> None:
        new = State(after.state)
        if state in ENDED:
            self.violated(8, f"{after.name} had ended {state.name} and is {new.name}")
        last = action_event_of(events[-1]).event if events else ""
        if state in SENT and new in ENDED and not after.receipts and last not in GIVEN_UP:
            self.violated(5, f"{after.name} was sent and is {new.name} without a receipt")
        if new == State.QUEUED and state in (State.NONE, *UNDECIDED):
            self._decided(after)
            self._let(after)

    def _decided(self, after: ActionRecord) -> None:
        """Whoever decides is somebody else than who asked, and enough of them."""
        voters = {vote.actor for vote in after.action.votes}
        asked = after.action.origin.request.actor
        approved = after.action.decision.kind == action_pb2.DECISION_KIND_APPROVED
        if approved and (len(voters) < after.needs or asked in voters):
            self.violated(3, f"{after.name} goes on {len(voters)} of {after.needs} votes")

    def _let(self, after: ActionRecord) -> None:
        """Count what happens without people."""
        kind = kinds()[after.kind]
        automatic = after.action.decision.kind == action_pb2.DECISION_KIND_AUTOMATIC
        if not automatic or not after.action.origin.HasField("policy") or kind.read_only or kind.release:
            return
        time = when(after.action.decision.time)
        self.used[after.name] = (after.kind, time)
        for budget in self.budgets:
            if after.kind not in budget.kinds:
                continue
            since = [at for name, at in self.used.values() if name in budget.kinds and time - budget.window < at]
            if len(since) > budget.limit:
                self.violated(7, f"{len(since)} of {budget.name} in {budget.window}, {budget.limit} are allowed")

    def _as_the_receipts_say(self, after: ActionRecord) -> None:
        """Hold what is shown against what executors sealed: the first receipt's state, the last one's outcome."""
        receipts = [self.receipts[name] for name in after.receipts if name in self.receipts]
        if len(receipts) != len(after.receipts):
            self.violated(5, f"{after.name} counts a receipt that no executor has written")
            return
        if any(receipt.action != after.name or receipt.warrant_digest != after.warrant_digest for receipt in receipts):
            self.violated(5, f"{after.name} counts another's receipt")
        first = promised(receipts[0], reads=kinds()[after.kind].read_only)
        given_up = after.action.failure.reason in ("TARGET_LOST", "TARGET_OFFBOARDED")
        if after.state != first and not given_up:
            self.violated(5, f"{after.name} is {State(after.state).name}, its receipt says {first.name}")
        outcomes = [receipt.outcome for receipt in receipts if receipt.HasField("outcome")]
        if outcomes and after.action.outcome.effect != outcomes[-1].effect:
            self.violated(5, f"{after.name} shows another effect than its last receipt")
