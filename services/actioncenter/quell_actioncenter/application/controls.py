"""The brakes: freeze and budgets."""

from collections.abc import Iterable

from google.protobuf.duration_pb2 import Duration
from quell.actioncenter.v1 import control_service_pb2
from quell.warrant.v1 import freeze_pb2, seal_pb2

from quell_actioncenter.application import history
from quell_actioncenter.application.actor import Actor, digest
from quell_actioncenter.application.book import Book
from quell_actioncenter.application.claims import FREEZE
from quell_actioncenter.application.desk import Desk
from quell_actioncenter.domain import budgets
from quell_actioncenter.domain.errors import (
    FreezeChangedError,
    FreezeIdTakenError,
    KindUnknownError,
    NotFrozenError,
    VotedAlreadyError,
    VoteIdTakenError,
)
from quell_actioncenter.domain.lifecycle import State
from quell_actioncenter.domain.records import FreezeRecord, RequestRecord
from quell_actioncenter.signing.seals import Seals
from quell_actioncenter.store.tables import ACTIONS, BUDGETS, FREEZES, REQUESTS
from quell_runtime.kinds import kinds
from quell_runtime.seams import micros, stamp

LIFTERS = 2
"""How many people lift a freeze."""


class Controls:
    """The use cases of `ControlService`."""

    def __init__(self, desk: Desk, seals: Seals) -> None:
        """Decide at this desk, and seal freezes with these."""
        self._desk = desk
        self._seals = seals

    async def freeze(
        self, request: control_service_pb2.FreezeRequest, actor: Actor
    ) -> control_service_pb2.FreezeStatus:
        """Stop new effects at once.

        Raises:
            FreezeIdTakenError: The id belongs to a freeze with other content.

        """
        if unknown := sorted(set(request.kinds) - kinds().keys()):
            raise KindUnknownError(f"there is no kind {unknown[0]}", "kinds")
        content = digest(request, actor.name)

        def work(book: Book) -> control_service_pb2.FreezeStatus:
            now = _status(book)
            known = book.view.get(REQUESTS, request.freeze_id)
            if known is not None:
                if known.content != content:
                    raise FreezeIdTakenError("the id belongs to another freeze: use a new one")
                return now
            book.view.put(REQUESTS, RequestRecord(request.freeze_id, FREEZE, content))
            scope = set(request.kinds) | set(now.kinds) if request.kinds and (now.kinds or not now.frozen) else set()
            return self._set(book, "frozen", _next(book, now, actor, request.comment), scope)

        return await self._desk.decide(work, [(FREEZES, FREEZE), (REQUESTS, request.freeze_id)], urgent=True)

    async def unfreeze(
        self, request: control_service_pb2.UnfreezeRequest, actor: Actor
    ) -> control_service_pb2.FreezeStatus:
        """Vote to lift the freeze; the second person's vote lifts it.

        Raises:
            NotFrozenError: Nothing is frozen.
            VotedAlreadyError: The caller has voted.
            FreezeChangedError: Another epoch holds.
            VoteIdTakenError: The id belongs to a vote with other content.

        """
        content = digest(request, actor.name)

        def work(book: Book) -> control_service_pb2.FreezeStatus:
            now = _status(book)
            known = book.view.get(REQUESTS, request.vote_id)
            if known is not None and known.content == content:
                return now
            if known is not None:
                raise VoteIdTakenError("the id belongs to another vote: use a new one")
            _may_lift(now, request.epoch, actor)
            book.view.put(REQUESTS, RequestRecord(request.vote_id, FREEZE, content))
            return self._vote(book, now, actor, request.comment)

        return await self._desk.decide(work, [(FREEZES, FREEZE), (REQUESTS, request.vote_id)], urgent=True)

    def _vote(
        self, book: Book, now: control_service_pb2.FreezeStatus, actor: Actor, comment: str
    ) -> control_service_pb2.FreezeStatus:
        needed = 1 if self._desk.in_force.policy.single_operator else LIFTERS
        if len(now.unfreeze_votes) + 1 >= needed:
            return self._set(book, "unfrozen", _next(book, now, actor, comment), None)
        voted = control_service_pb2.FreezeStatus()
        voted.CopyFrom(now)
        voted.unfreeze_votes.append(actor.name)
        kept = book.view.need(FREEZES, FREEZE)
        book.view.put(FREEZES, FreezeRecord(FREEZE, voted, kept.sealed))
        history.append(book.view, book.now, actor.name, "unfreeze_voted", FREEZE, voted)
        return voted

    def _set(
        self, book: Book, event: str, status: control_service_pb2.FreezeStatus, scope: Iterable[str] | None
    ) -> control_service_pb2.FreezeStatus:
        """Seal and keep the next epoch; no scope at all: nothing is frozen."""
        status.frozen = scope is not None
        status.kinds.extend(sorted(scope or ()))
        freeze = freeze_pb2.Freeze(
            deployment=self._seals.deployment,
            epoch=status.epoch,
            frozen=status.frozen,
            kinds=status.kinds,
            issue_time=status.time,
        )
        sealed = self._seals.freeze(freeze)
        book.view.put(FREEZES, FreezeRecord(FREEZE, status, sealed.SerializeToString()))
        history.append(book.view, book.now, status.actor, event, FREEZE, status)
        return status

    async def reseal(self) -> None:
        """Seal the freeze as it is with the key of today: executors no longer believe one that is revoked."""

        def work(book: Book) -> None:
            kept = book.view.get(FREEZES, FREEZE)
            if kept is None:
                return
            before = seal_pb2.Sealed.FromString(kept.sealed)
            freeze = freeze_pb2.Freeze.FromString(before.body)
            freeze.issue_time.CopyFrom(stamp(book.now))
            sealed = self._seals.freeze(freeze)
            if sealed.key_id != before.key_id:
                book.view.put(FREEZES, FreezeRecord(FREEZE, kept.status, sealed.SerializeToString()))

        await self._desk.decide(work, [(FREEZES, FREEZE)], urgent=True)

    async def get_freeze(self) -> control_service_pb2.FreezeStatus:
        """Return the freeze as it is."""
        record = await self._desk.store.load(FREEZES, FREEZE)
        return record.status if record else control_service_pb2.FreezeStatus()

    async def list_budgets(self) -> list[control_service_pb2.Budget]:
        """Return the budgets of the policy and what is left of each, by name."""
        uses = {row.name: row.uses for row in await self._desk.store.select(BUDGETS)}
        held = await self._desk.store.select(ACTIONS, "WHERE state = ?", (State.HELD,))
        now = micros(self._desk.clock.now())
        found = []
        for budget in sorted(self._desk.in_force.policy.budgets, key=lambda one: one.name):
            window = Duration()
            window.FromTimedelta(budget.window)
            reason = budgets.reason(budget.name)
            found.append(
                control_service_pb2.Budget(
                    name=budget.name,
                    kinds=budget.kinds,
                    window=window,
                    limit=budget.limit,
                    used=budgets.used(budget, uses.get(budget.name, ()), now),
                    held=sum(reason in record.action.approval_need.reasons for record in held),
                )
            )
        return found


def _status(book: Book) -> control_service_pb2.FreezeStatus:
    record = book.view.get(FREEZES, FREEZE)
    return record.status if record else control_service_pb2.FreezeStatus()


def _next(
    book: Book, now: control_service_pb2.FreezeStatus, actor: Actor, comment: str
) -> control_service_pb2.FreezeStatus:
    return control_service_pb2.FreezeStatus(
        # By the clock, so that a centre restored from an older copy goes on above what executors have heard.
        epoch=max(now.epoch + 1, micros(book.now)),
        actor=actor.name,
        comment=comment,
        time=stamp(book.now),
    )


def _may_lift(now: control_service_pb2.FreezeStatus, epoch: int, actor: Actor) -> None:
    if not now.frozen:
        raise NotFrozenError("nothing is frozen")
    if epoch != now.epoch:
        raise FreezeChangedError(f"epoch {now.epoch} holds: look again", epoch=str(now.epoch))
    if actor.name in now.unfreeze_votes:
        raise VotedAlreadyError("this person has voted to lift it: another one must")
