"""Ends by hand: calling off, and giving up a target that will not answer."""

from quell.actioncenter.v1 import action_pb2, action_service_pb2
from quell.remediation.v1 import outcome_pb2

from quell_actioncenter.application import register
from quell_actioncenter.application.actor import Actor
from quell_actioncenter.application.book import Book, Note
from quell_actioncenter.application.desk import Desk
from quell_actioncenter.domain import decision, receipts
from quell_actioncenter.domain.errors import ActionEndedError, ActionNotSentError
from quell_actioncenter.domain.lifecycle import SENT, UNSENT, Event, State
from quell_actioncenter.domain.records import ActionRecord
from quell_actioncenter.store.tables import ACTIONS
from quell_runtime.kinds import kinds
from quell_runtime.seams import stamp

LOST = "TARGET_LOST"


class Ending:
    """Cancel and write off."""

    def __init__(self, desk: Desk) -> None:
        """Decide at this desk."""
        self._desk = desk

    async def cancel(self, request: action_service_pb2.CancelActionRequest, actor: Actor) -> action_pb2.Action:
        """Call an action off: at once if nothing was sent, else its executor is asked."""

        def work(book: Book) -> action_pb2.Action:
            record = book.known(request.name)
            acting = decision.acting_kind(kinds()[record.kind], undo=bool(record.action.undo_of))
            actor.require(decision.create_permission(acting.name), decision.approve_permission(acting.name))
            return _cancel(book, record, Note(actor.name, request.comment)).action

        return await self._desk.decide(work, [(ACTIONS, request.name)], urgent=True)

    async def write_off(self, request: action_service_pb2.WriteOffActionRequest, actor: Actor) -> action_pb2.Action:
        """Give up a target that will not answer."""

        def work(book: Book) -> action_pb2.Action:
            record = book.known(request.name)
            state = State(record.state)
            if record.action.failure.reason == LOST:
                return record.action
            if state in UNSENT:
                raise ActionNotSentError(f"it is {state.name}: cancel it", state=state.name)
            if state not in SENT:
                raise ActionEndedError(f"it is {state.name}: there is nothing to give up", state=state.name)
            return lose(book, record, Event.WRITTEN_OFF, Note(actor.name, request.comment)).action

        return await self._desk.decide(work, [(ACTIONS, request.name)], urgent=True)


def _cancel(book: Book, record: ActionRecord, note: Note) -> ActionRecord:
    state = State(record.state)
    if state in UNSENT:
        return book.move(record, Event.CANCELED, note)
    if state == State.CANCELED or (state in SENT and record.action.HasField("cancel_request_time")):
        return record
    if state not in SENT:
        raise ActionEndedError(f"it is {state.name}: what it did is taken back by undo", state=state.name)

    def edit(action: action_pb2.Action) -> None:
        action.cancel_request_time.CopyFrom(stamp(book.now))

    return book.move(record, Event.CANCEL_REQUESTED, note, edit)


def lose(book: Book, record: ActionRecord, event: Event, note: Note) -> ActionRecord:
    """End an action whose target is lost; what was sent may have been carried out, so its effect is unknown."""
    sent = State(record.state) in SENT
    failure = receipts.loss(State(record.state), event)

    def edit(action: action_pb2.Action) -> None:
        action.failure.CopyFrom(failure)
        if sent and not action.HasField("outcome"):
            action.outcome.effect = outcome_pb2.EFFECT_STATE_UNKNOWN
            action.outcome.items.SetInParent()
            action.outcome.end_time.CopyFrom(stamp(book.now))

    after = book.move(record, event, note, edit)
    if sent and register.keeps(after):
        register.found(book, after)
    return after
