"""How an action comes to be: derived or asked for, it is kept, decided as the policy says, and counted, at once."""

from dataclasses import dataclass
from datetime import datetime

from google.protobuf import json_format
from google.protobuf.message import Message
from quell.actioncenter.v1 import action_pb2
from quell.remediation.v1 import remediation_pb2

from quell_actioncenter.application.book import Book, Go, Note
from quell_actioncenter.domain import budgets, canonical
from quell_actioncenter.domain.decision import Decision, acting_kind, sealed
from quell_actioncenter.domain.lifecycle import Event, State
from quell_actioncenter.domain.policy_document import Policy
from quell_actioncenter.domain.records import ActionRecord, BudgetRecord
from quell_actioncenter.store.tables import BUDGETS
from quell_runtime.kinds import Kind, device_of, kind_of, order_of
from quell_runtime.seams import micros, stamp
from quell_runtime.store import replace

TARGET_LENGTH = 500


@dataclass(frozen=True, slots=True)
class InForce:
    """The policy in force, and its version `policies/{policy}`."""

    policy: Policy
    name: str


@dataclass(frozen=True, slots=True)
class Birth:
    """An action to be: `content` is the digest of what was asked for under its id."""

    name: str
    remediation: remediation_pb2.Remediation
    origin: action_pb2.Origin
    decision: Decision
    note: Note
    revert_time: datetime | None = None
    undo_of: str = ""
    retry_of: str = ""
    delta_of: str = ""
    resolved_by: str = ""
    content: bytes = b""

    @property
    def equal_key(self) -> str:
        """Equal for actions of one investigation that ask for the same; empty outside of investigations."""
        # Newcomers are other things than the list that went before, though the query is the same.
        apart = self.undo_of or (self.name if self.delta_of else "")
        return equal_key(self.origin.investigation, self.remediation, apart)


def equal_key(investigation: str, remediation: remediation_pb2.Remediation, apart: str = "") -> str:
    """Return what equal actions of one investigation share."""
    if not investigation:
        return ""
    key = canonical.equal_key(investigation, remediation)
    return f"{key}/{apart}" if apart else key


def bear(book: Book, in_force: InForce, birth: Birth) -> ActionRecord:
    """Bring an action into being, let or not as its decision and the budgets say."""
    kind = kind_of(birth.remediation)
    decision = birth.decision
    if decision.event == Event.LET and birth.origin.HasField("policy"):
        decision = spend(book, in_force.policy, kind, decision)
    record = _unborn(book, birth, kind)
    book.born(record)
    if decision.event == Event.LET:
        return book.let(record, Event.LET, birth.note, automatic(book, in_force, record, decision.rule))

    def edit(action: action_pb2.Action) -> None:
        action.approval_need.missing_votes = decision.votes
        action.approval_need.permission = decision.permission
        action.approval_need.reasons.extend(decision.reasons)
        action.approval_need.sealed = bool(sealed(in_force.policy, record.kind))
        action.decision_expire_time.CopyFrom(stamp(book.now + in_force.policy.times.decision.of(kind.name)))

    return book.move(replace(record, needs=decision.votes), decision.event, birth.note, edit)


def spend(book: Book, policy: Policy, kind: Kind, decision: Decision) -> Decision:
    """Take what happens without people from its budgets; return the decision, held if nothing is left."""
    if kind.read_only or kind.release:
        return decision
    counting = budgets.of_kind(policy, kind.name)
    known = {budget.name: row.uses for budget in counting if (row := book.view.get(BUDGETS, budget.name))}
    spent = budgets.spend(counting, known, micros(book.now))
    for name, uses in spent.uses.items():
        book.view.put(BUDGETS, BudgetRecord(name, uses))
    for reason in spent.over:
        decision = decision.held(reason)
    return decision


def automatic(book: Book, in_force: InForce, record: ActionRecord, rule: str) -> Go:
    """Return the decision of the policy itself."""
    return decided(book, in_force, record, action_pb2.Decision(kind=action_pb2.DECISION_KIND_AUTOMATIC, rule=rule))


def decided(book: Book, in_force: InForce, record: ActionRecord, decision: action_pb2.Decision) -> Go:
    """Return a decision with the policy by which it was taken, and how long the target of the action may take."""
    found = action_pb2.Decision(kind=decision.kind, rule=decision.rule, policy=in_force.name, time=stamp(book.now))
    return Go(found, in_force.policy.times.target.of(record.kind))


def target_of(remediation: remediation_pb2.Remediation) -> str:
    """Return what a remediation acts on as one text, for people and filters."""
    found = getattr(order_of(remediation), kind_of(remediation).target_field, "")
    if not isinstance(found, Message):
        return str(found)
    text = json_format.MessageToJson(found, preserving_proto_field_name=True, indent=None)
    return text[:TARGET_LENGTH]


def _unborn(book: Book, birth: Birth, kind: Kind) -> ActionRecord:
    action = action_pb2.Action(
        name=birth.name,
        etag="1",
        remediation=birth.remediation,
        origin=birth.origin,
        undo_of=birth.undo_of,
        retry_of=birth.retry_of,
        delta_of=birth.delta_of,
        resolved_by=birth.resolved_by,
        create_time=stamp(book.now),
        revert_time=stamp(birth.revert_time) if birth.revert_time else None,
    )
    return ActionRecord(
        name=birth.name,
        action=action,
        state=int(State.NONE),
        kind=acting_kind(kind, undo=bool(birth.undo_of)).name,
        plane=kind.plane,
        device=device_of(birth.remediation),
        target=target_of(birth.remediation),
        investigation=birth.origin.investigation,
        equal_key=birth.equal_key,
        content=birth.content,
        fate="",
        create_time=book.now,
        update_time=book.now,
        etag_time=book.now,
        due_time=None,
        last_event=0,
    )
