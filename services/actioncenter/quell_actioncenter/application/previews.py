"""Previews: what an action would do, as bytes whose digest an approval binds."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from quell.actioncenter.v1 import action_pb2, action_service_pb2
from quell.executor.v1 import plan_pb2
from quell.remediation.v1 import item_pb2, remediation_pb2
from quell.warrant.v1 import preview_pb2

from quell_actioncenter.application import deltas, knowledge
from quell_actioncenter.application.actor import Actor
from quell_actioncenter.application.book import Book, Note
from quell_actioncenter.application.desk import Desk
from quell_actioncenter.application.plans import Plan, Plans
from quell_actioncenter.application.undoing import check_undo
from quell_actioncenter.domain import by_hand, decision, guards
from quell_actioncenter.domain.errors import ExecutorAwayError
from quell_actioncenter.domain.lifecycle import Event, State
from quell_actioncenter.domain.records import PLANNED, ActionRecord, ItemChunkRecord, chunk_name
from quell_actioncenter.store.tables import ITEM_CHUNKS, TARGETS
from quell_runtime.kinds import device_of, is_cluster, kind_of
from quell_runtime.sealing import key_id_of
from quell_runtime.seams import stamp, when
from quell_runtime.store import replace

CHUNK = 250
SHOWN_ITEMS = 100
NOT_SEEN = Plan((), plan_pb2.PlanSummary(basis=preview_pb2.BASIS_NOT_SEEN))


@dataclass(frozen=True, slots=True)
class Subject:
    """What is previewed: of an undo, `remediation` is what is taken back."""

    remediation: remediation_pb2.Remediation
    undo_of: str = ""
    record: ActionRecord | None = None
    beyond: tuple[bytes, ...] = ()


class Previews:
    """The preview use case."""

    def __init__(self, desk: Desk, plans: Plans) -> None:
        """Ask through these plans."""
        self._desk = desk
        self._plans = plans

    async def preview(
        self, request: action_service_pb2.PreviewActionRequest, actor: Actor
    ) -> action_service_pb2.PreviewActionResponse:
        """Show what an action, a remediation or an undo would do, and what an approval would bind."""
        subject = await self._desk.decide(lambda book: self._subject(book, request))
        record = subject.record
        if record is not None and record.action.votes and record.preview:
            return await self._stored(record)
        plan = await self._look(subject)
        answer = await self._desk.decide(lambda book: self._answer(book, subject, plan, actor))
        # Somebody may have voted while we looked: then what that vote fixed is shown, items and all.
        return await self._stored(answer) if isinstance(answer, ActionRecord) else answer

    def _subject(self, book: Book, request: action_service_pb2.PreviewActionRequest) -> Subject:
        if request.WhichOneof("subject") == "remediation":
            return Subject(request.remediation)
        if request.WhichOneof("subject") == "undo_of":
            undone = book.known(request.undo_of)
            check_undo(book, self._desk.in_force, undone)
            return Subject(undone.action.remediation, undone.name)
        record = book.known(request.name)
        _still_pending(record)
        cluster = record.action.delta_of
        beyond = deltas.beyond(book, cluster, record) if cluster else ()
        return Subject(record.action.remediation, record.action.undo_of, record, beyond)

    async def _look(self, subject: Subject) -> Plan:
        """Ask the executor; a target that is away is NOT_SEEN, but a cluster must be seen."""
        keep = self._desk.clock.now() + timedelta(days=1)
        if subject.record is not None:
            keep = when(subject.record.action.decision_expire_time) + timedelta(days=1)
        try:
            return await self._plans.ask(subject.remediation, subject.undo_of, keep, subject.beyond)
        except ExecutorAwayError:
            if is_cluster(subject.remediation) and not subject.undo_of:
                raise
            return NOT_SEEN

    def _answer(
        self, book: Book, subject: Subject, plan: Plan, actor: Actor
    ) -> action_service_pb2.PreviewActionResponse | ActionRecord:
        """Make the bytes; of a pending action nobody has voted on they are kept, with the items; else return it."""
        record = None if subject.record is None else book.known(subject.record.name)
        if record is None:
            need = self._need(book, subject, actor)
            preview = self.preview_of(book, subject, plan, need.missing_votes, None)
            return _response(preview.SerializeToString(deterministic=True), plan, need)
        _still_pending(record)
        if record.action.votes and record.preview:
            return record
        preview = self.preview_of(book, subject, plan, record.needs, record)
        record = self.keep(book, record, plan, preview.SerializeToString(deterministic=True), actor.name)
        return _response(record.preview, plan, record.action.approval_need)

    def preview_of(
        self, book: Book, subject: Subject, plan: Plan, votes: int, record: ActionRecord | None
    ) -> preview_pb2.Preview:
        """Return what an approval of an action, or of what nobody has asked for yet, would bind."""
        kind = kind_of(subject.remediation)
        policy = self._desk.in_force.policy
        decided_by = (
            when(record.action.decision_expire_time) if record else book.now + policy.times.decision.of(kind.name)
        )
        expires = decided_by + policy.times.target.of(kind.name)
        revert = record.action.revert_time if record and record.action.HasField("revert_time") else None
        target = book.view.get(TARGETS, device_of(subject.remediation)) if device_of(subject.remediation) else None
        return preview_pb2.Preview(
            action=record.name if record else "",
            remediation=subject.remediation,
            basis=plan.summary.basis,
            snapshot_digest=plan.summary.snapshot_digest,
            snapshot_count=plan.summary.item_count if plan.summary.snapshot_digest else 0,
            max_items=policy.max_items.get(kind.name, 0),
            target_key=key_id_of(target.identity_key) if target else b"",
            undo_of=subject.undo_of,
            revert_time=revert,
            expire_time=stamp(min(expires, when(revert)) if revert else expires),
            approvals_needed=votes,
        )

    def _need(self, book: Book, subject: Subject, actor: Actor) -> action_pb2.ApprovalNeed:
        """Return what an action would need if this caller asked for it."""
        request = by_hand.Request(subject.remediation, actor.permissions, undo=bool(subject.undo_of))
        facts = knowledge.of_request(book.view, subject.remediation)
        policy = self._desk.in_force.policy
        decided = by_hand.decide_request(policy, request, facts)
        acting = decision.acting_kind(kind_of(subject.remediation), undo=request.undo)
        return action_pb2.ApprovalNeed(
            missing_votes=decided.votes,
            permission=decided.permission,
            reasons=decided.reasons,
            sealed=bool(decision.sealed(policy, acting.name)),
        )

    def keep(self, book: Book, record: ActionRecord, plan: Plan, preview: bytes, who: str) -> ActionRecord:
        """Keep what an approval binds, and the items that go with it, instead of what an older look found."""
        bodies = [
            item_pb2.ItemOutcomes(
                outcomes=[item_pb2.ItemOutcome(item=item, state=item_pb2.ITEM_STATE_PLANNED) for item in part]
            ).SerializeToString()
            for part in _chunks(plan.items)
        ]
        for index, body in enumerate(bodies):
            name = chunk_name(record.name, PLANNED, index)
            book.view.put(ITEM_CHUNKS, ItemChunkRecord(name, record.name, PLANNED, index, body))
        for index in range(len(bodies), record.planned_chunks):
            book.view.drop(ITEM_CHUNKS, chunk_name(record.name, PLANNED, index))

        def edit(action: action_pb2.Action) -> None:
            action.snapshot_digest = plan.summary.snapshot_digest.hex()
            action.snapshot_count = plan.summary.item_count if plan.summary.snapshot_digest else 0

        record = replace(record, preview=preview, planned_chunks=len(bodies))
        return book.move(record, Event.PREVIEWED, Note(who), edit)

    async def _stored(self, record: ActionRecord) -> action_service_pb2.PreviewActionResponse:
        """Answer what the first vote has fixed."""
        tail = 'WHERE action = ? AND phase = ? ORDER BY "index"'
        chunks = await self._desk.store.select(ITEM_CHUNKS, tail, (record.name, PLANNED))
        items = [one.item for chunk in chunks for one in item_pb2.ItemOutcomes.FromString(chunk.body).outcomes]
        plan = Plan(tuple(items), plan_pb2.PlanSummary(item_count=len(items)))
        return _response(record.preview, plan, record.action.approval_need)


def _still_pending(record: ActionRecord) -> None:
    refusal = guards.pending(guards.Question(State(record.state), "", ""), guards.Ballot("", frozenset()))
    if refusal:
        raise refusal


def _chunks(items: Sequence[item_pb2.Item]) -> list[Sequence[item_pb2.Item]]:
    return [items[at : at + CHUNK] for at in range(0, len(items), CHUNK)]


def _response(preview: bytes, plan: Plan, need: action_pb2.ApprovalNeed) -> action_service_pb2.PreviewActionResponse:
    told = preview_pb2.Preview.FromString(preview)
    kind = kind_of(told.remediation)
    return action_service_pb2.PreviewActionResponse(
        preview=preview,
        preview_digest=hashlib.sha256(preview).hexdigest(),
        items=plan.items[:SHOWN_ITEMS],
        item_count=plan.summary.item_count,
        notes=plan.summary.notes,
        not_restored=kind.not_restored,
        approval_need=need if need.missing_votes else None,
    )
