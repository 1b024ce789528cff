"""Actions by hand: asked for, taken back, tried again; decided by the same policy as what is derived."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from google.protobuf.message import Message
from quell.actioncenter.v1 import action_pb2, action_service_pb2
from quell.remediation.v1 import remediation_pb2

from quell_actioncenter.application import births, knowledge
from quell_actioncenter.application.actor import Actor, digest
from quell_actioncenter.application.births import Birth
from quell_actioncenter.application.book import Book, Note
from quell_actioncenter.application.desk import Desk
from quell_actioncenter.application.undoing import bear_undo, check_undo
from quell_actioncenter.domain import by_hand, decision
from quell_actioncenter.domain.errors import (
    ActionIdTakenError,
    ActionNotRetryableError,
    InvestigationRequiredError,
    InvestigationUnknownError,
    RemediationTooLargeError,
    RevertUnsupportedError,
)
from quell_actioncenter.domain.lifecycle import RETRYABLE, Event, State
from quell_actioncenter.domain.records import ActionRecord
from quell_actioncenter.store.tables import ACTIONS, INVESTIGATIONS
from quell_runtime.kinds import kind_of, kinds, order_of
from quell_runtime.seams import when

MOST_BYTES = 128 << 10


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks for by hand, under which id, and why."""

    name: str
    remediation: remediation_pb2.Remediation
    actor: Actor
    comment: str
    content: bytes
    investigation: str = ""
    revert_time: datetime | None = None
    undo_of: str = ""
    retry_of: str = ""
    delta_of: str = ""


class Asking:
    """Create, undo and retry."""

    def __init__(self, desk: Desk) -> None:
        """Decide at this desk."""
        self._desk = desk

    async def create(self, request: action_service_pb2.CreateActionRequest, actor: Actor) -> action_pb2.Action:
        """Ask for a remediation by hand."""
        if request.remediation.ByteSize() > MOST_BYTES:
            raise RemediationTooLargeError("a remediation has at most 128 KiB: split it", "remediation")
        wish = Wish(
            name=f"actions/{request.action_id.lower()}",
            remediation=request.remediation,
            actor=actor,
            comment=request.comment,
            content=digest(request, actor.name, actor.via),
            investigation=request.investigation,
            revert_time=when(request.revert_time) if request.HasField("revert_time") else None,
        )
        return await self._once(wish.name, wish.content, lambda book: self._create(book, wish))

    def _create(self, book: Book, wish: Wish) -> ActionRecord:
        kind = kind_of(wish.remediation)
        if wish.revert_time and (not kind.undoable or wish.revert_time <= book.now):
            raise RevertUnsupportedError(f"{kind.name} can't be taken back, or the time is past", "revert_time")
        if getattr(order_of(wish.remediation), "findings_as_evidence", False) and not wish.investigation:
            field = f"remediation.{kind.name}.findings_as_evidence"
            raise InvestigationRequiredError("findings are evidence of an investigation: name one", field)
        wish.actor.require(decision.create_permission(kind.name))
        if wish.investigation and book.view.get(INVESTIGATIONS, wish.investigation) is None:
            raise InvestigationUnknownError(f"there is no {wish.investigation}", name=wish.investigation)
        return self._bear(book, wish)

    async def undo(self, request: action_service_pb2.UndoActionRequest, actor: Actor) -> action_pb2.Action:
        """Ask for the reverse of what an action did."""
        name = f"actions/{request.undo_id.lower()}"

        def work(book: Book) -> ActionRecord:
            record = book.known(request.name)
            acting = decision.acting_kind(kinds()[record.kind], undo=True)
            actor.require(decision.create_permission(acting.name), decision.approve_permission(acting.name))
            return self._take_back(book, record, _wish(name, record, request, actor))

        return await self._once(name, digest(request, actor.name), work, [request.name])

    async def retry(self, request: action_service_pb2.RetryActionRequest, actor: Actor) -> action_pb2.Action:
        """Ask for the same once more."""
        name = f"actions/{request.retry_id.lower()}"

        def work(book: Book) -> ActionRecord:
            record = book.known(request.name)
            state = State(record.state)
            over = record.action.HasField("revert_time") and when(record.action.revert_time) <= book.now
            if state not in RETRYABLE or over:
                raise ActionNotRetryableError(f"it is {state.name}, or its time is over", state=state.name)
            acting = decision.acting_kind(kinds()[record.kind], undo=bool(record.action.undo_of))
            actor.require(decision.create_permission(acting.name))
            book.move(record, Event.RETRY_ASKED, Note(actor.name, request.comment))
            wish = replace(_wish(name, record, request, actor), retry_of=record.name, delta_of=record.action.delta_of)
            if record.action.undo_of:
                return self._take_back(book, book.known(record.action.undo_of), wish)
            return self._bear(book, wish)

        return await self._once(name, digest(request, actor.name), work, [request.name])

    def _take_back(self, book: Book, record: ActionRecord, wish: Wish) -> ActionRecord:
        check_undo(book, self._desk.in_force, record)
        birth = self._birth(book, replace(wish, undo_of=record.name, revert_time=None))
        return bear_undo(book, self._desk.in_force, record, birth, birth.note)

    def _bear(self, book: Book, wish: Wish) -> ActionRecord:
        return births.bear(book, self._desk.in_force, self._birth(book, wish))

    def _birth(self, book: Book, wish: Wish) -> Birth:
        """Return the action that a wish becomes, decided by the policy."""
        request = by_hand.Request(
            remediation=wish.remediation,
            permissions=wish.actor.permissions,
            proven=not wish.actor.via,
            undo=bool(wish.undo_of),
        )
        facts = knowledge.of_request(book.view, wish.remediation)
        origin = action_pb2.Origin(
            request=action_pb2.RequestOrigin(actor=wish.actor.name, via=wish.actor.via, comment=wish.comment),
            investigation=wish.investigation,
        )
        return Birth(
            name=wish.name,
            remediation=wish.remediation,
            origin=origin,
            decision=by_hand.decide_request(self._desk.in_force.policy, request, facts),
            note=Note(wish.actor.name, wish.comment),
            revert_time=wish.revert_time,
            undo_of=wish.undo_of,
            retry_of=wish.retry_of,
            delta_of=wish.delta_of,
            content=wish.content,
        )

    async def _once(
        self, name: str, content: bytes, work: Callable[[Book], ActionRecord], others: Sequence[str] = ()
    ) -> action_pb2.Action:
        """Bring an action into being under its id, or return the one that is there with the same content."""

        def once(book: Book) -> action_pb2.Action:
            there = book.action(name)
            if there is not None and there.content != content:
                raise ActionIdTakenError("the id belongs to an action with other content: use a new one", name=name)
            return (there or work(book)).action

        reads = [(ACTIONS, one) for one in (name, *others)]
        return await self._desk.decide(once, reads, urgent=bool(others))


def _wish(name: str, record: ActionRecord, request: Message, actor: Actor) -> Wish:
    """Return the wish for the same as an action asked for."""
    return Wish(
        name=name,
        remediation=record.action.remediation,
        actor=actor,
        comment=str(getattr(request, "comment", "")),
        content=digest(request, actor.name),
        investigation=record.investigation,
        revert_time=when(record.action.revert_time) if record.action.HasField("revert_time") else None,
    )
