"""Votes: what people decide, bound to what they saw; counted in the transaction that lets the action go or ends it."""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from quell.actioncenter.v1 import action_pb2, action_service_pb2
from quell.remediation.v1 import failure_pb2
from quell.warrant.v1 import seal_pb2

from quell_actioncenter.application import births
from quell_actioncenter.application.actor import Actor
from quell_actioncenter.application.book import Book, Go, Note
from quell_actioncenter.application.desk import Desk, Place
from quell_actioncenter.domain import by_hand, guards
from quell_actioncenter.domain.errors import VoteIdTakenError
from quell_actioncenter.domain.guards import Ballot, Question
from quell_actioncenter.domain.lifecycle import Event, State
from quell_actioncenter.domain.records import ActionRecord, RequestRecord
from quell_actioncenter.signing.own_seals import approved_digest
from quell_actioncenter.store.tables import ACTIONS, REQUESTS
from quell_runtime.errors import QuellError
from quell_runtime.kinds import is_cluster
from quell_runtime.seams import stamp, when


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's vote on one action, and what they saw of it."""

    action: str
    vote_id: str
    yes: bool
    comment: str
    actor: Actor
    etag: str = ""
    preview_digest: str = ""
    approval: seal_pb2.Sealed | None = None

    @property
    def content(self) -> bytes:
        """Digest of what is voted under the id."""
        said = (self.action, str(self.yes), self.actor.name, self.comment)
        return hashlib.sha256("\0".join(said).encode()).digest()


class Voting:
    """Approve, reject, and both for many."""

    def __init__(self, desk: Desk, deployment: str) -> None:
        """Decide at this desk; approvals must be sealed for this deployment."""
        self._desk = desk
        self._deployment = deployment

    async def approve(self, request: action_service_pb2.ApproveActionRequest, actor: Actor) -> action_pb2.Action:
        """Vote for an action."""
        vote = Vote(
            action=request.name,
            vote_id=request.vote_id,
            yes=True,
            comment=request.comment,
            actor=actor,
            etag=request.etag,
            preview_digest=request.preview_digest,
            approval=request.approval if request.HasField("approval") else None,
        )
        return await self._vote(vote)

    async def reject(self, request: action_service_pb2.RejectActionRequest, actor: Actor) -> action_pb2.Action:
        """Vote against an action."""
        vote = Vote(
            action=request.name,
            vote_id=request.vote_id,
            yes=False,
            comment=request.comment,
            actor=actor,
            etag=request.etag,
        )
        return await self._vote(vote)

    async def decide_many(
        self, request: action_service_pb2.BatchDecideActionsRequest, actor: Actor, matching: Sequence[str] = ()
    ) -> list[action_service_pb2.DecideResult]:
        """Vote on many actions, with an answer each.

        `matching`: of a request by filter, the names of the actions that match and are pending or held, oldest first,
        at most 1,000. What came or got another etag since its `seen_time` is left out of the answer.
        """
        if request.WhichOneof("selection") == "filter":
            return await self._decide_matching(request, actor, matching)
        votes = [_of_batch(request, actor, seen) for seen in request.actions.actions]

        def work(book: Book) -> list[action_service_pb2.DecideResult]:
            _expect(book, votes)
            return [self._answered(book, vote) for vote in votes]

        return await self._desk.decide(work)

    async def _decide_matching(
        self, request: action_service_pb2.BatchDecideActionsRequest, actor: Actor, matching: Sequence[str]
    ) -> list[action_service_pb2.DecideResult]:
        yes = request.answer == action_pb2.ANSWER_APPROVE
        seen_time = when(request.filter.seen_time)

        def work(book: Book) -> list[action_service_pb2.DecideResult]:
            book.expect(matching)
            found = [record for name in matching if (record := book.action(name)) and record.etag_time <= seen_time]
            votes = [
                _of_batch(request, actor, action_service_pb2.SeenAction(name=record.name, etag=record.action.etag))
                for record in found
                if not (yes and is_cluster(record.action.remediation))
            ]
            _expect(book, votes)
            return [self._answered(book, vote) for vote in votes]

        return await self._desk.decide(work)

    async def _vote(self, vote: Vote) -> action_pb2.Action:
        reads: list[Place] = [(ACTIONS, vote.action), (REQUESTS, vote.vote_id)]
        return await self._desk.decide(lambda book: self._count(book, vote).action, reads)

    def _answered(self, book: Book, vote: Vote) -> action_service_pb2.DecideResult:
        """Vote on one of many: a refusal is an answer. It changes nothing, since guards come before changes."""
        try:
            after = self._count(book, vote)
        except QuellError as refusal:
            failure = failure_pb2.Failure(reason=refusal.reason, message=refusal.message[:1000])
            return action_service_pb2.DecideResult(name=vote.action, refusal=failure)
        return action_service_pb2.DecideResult(name=vote.action, state=State(after.state).wire)

    def _count(self, book: Book, vote: Vote) -> ActionRecord:
        """Count a vote, once; the last that is needed lets the action go, the first against it ends it."""
        record = book.known(vote.action)
        before = book.view.get(REQUESTS, vote.vote_id)
        if before is not None:
            if before.content != vote.content:
                raise VoteIdTakenError("the id belongs to another vote: use a new one")
            return record
        question = self._question(record)
        seen = vote.preview_digest
        if vote.approval is not None:
            seen = approved_digest(vote.approval, vote.actor.name, vote.actor.keys, self._deployment, book.now)
        ballot = Ballot(vote.actor.name, vote.actor.permissions, vote.etag, seen, sealed=vote.approval is not None)
        guards.check(guards.APPROVAL if vote.yes else guards.REJECTION, question, ballot)
        book.view.put(REQUESTS, RequestRecord(vote.vote_id, vote.action, vote.content))
        return self._yes(book, record, vote) if vote.yes else self._no(book, record, vote)

    def _question(self, record: ActionRecord) -> Question:
        asked = record.action.origin.request
        single = self._desk.in_force.policy.single_operator and not asked.via
        return Question(
            state=State(record.state),
            permission=record.action.approval_need.permission,
            etag=record.action.etag,
            requester=asked.actor,
            requester_votes=single,
            voters=tuple(vote.actor for vote in record.action.votes),
            cluster=is_cluster(record.action.remediation) and not record.action.undo_of,
            preview_digest=hashlib.sha256(record.preview).hexdigest() if record.preview else "",
            sealed=record.action.approval_need.sealed,
        )

    def _yes(self, book: Book, record: ActionRecord, vote: Vote) -> ActionRecord:
        said = _said(book, vote)
        missing = record.needs - len(record.action.votes) - 1

        def edit(action: action_pb2.Action) -> None:
            action.votes.append(said)
            action.approval_need.missing_votes = max(missing, 0)

        note = Note(vote.actor.name, vote.comment, vote=said)
        if missing > 0:
            return book.move(record, Event.VOTED_FOR, note, edit)
        go = self._decided(book, record, action_pb2.DECISION_KIND_APPROVED)
        return book.let(record, Event.APPROVED, note, go, edit)

    def _no(self, book: Book, record: ActionRecord, vote: Vote) -> ActionRecord:
        said = _said(book, vote)
        decision = self._decided(book, record, action_pb2.DECISION_KIND_REJECTED).decision

        def edit(action: action_pb2.Action) -> None:
            action.votes.append(said)
            action.decision.CopyFrom(decision)

        return book.move(record, Event.REJECTED, Note(vote.actor.name, vote.comment, vote=said), edit)

    def _decided(self, book: Book, record: ActionRecord, kind: action_pb2.DecisionKind.ValueType) -> Go:
        origin = record.action.origin
        by_request = by_hand.RULE_UNPROVEN if origin.request.via else by_hand.RULE_PEOPLE
        decision = action_pb2.Decision(kind=kind, rule=origin.policy.rule or by_request)
        return births.decided(book, self._desk.in_force, record, decision)


def _of_batch(
    request: action_service_pb2.BatchDecideActionsRequest, actor: Actor, seen: action_service_pb2.SeenAction
) -> Vote:
    vote_id = str(uuid.uuid5(uuid.UUID(request.vote_id), seen.name))
    yes = request.answer == action_pb2.ANSWER_APPROVE
    return Vote(seen.name, vote_id, yes, request.comment, actor, seen.etag, seen.preview_digest)


def _expect(book: Book, votes: Sequence[Vote]) -> None:
    book.expect(vote.action for vote in votes)
    book.view.expect((REQUESTS, vote.vote_id) for vote in votes)


def _said(book: Book, vote: Vote) -> action_pb2.Vote:
    return action_pb2.Vote(
        vote_id=vote.vote_id,
        actor=vote.actor.name,
        answer=action_pb2.ANSWER_APPROVE if vote.yes else action_pb2.ANSWER_REJECT,
        comment=vote.comment,
        time=stamp(book.now),
        approval=vote.approval,
    )
