"""Who may vote on an action, and on what: a list of checks that all run, so that all reasons are told."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from quell_actioncenter.domain.errors import (
    ActionChangedError,
    ActionNotPendingError,
    ApprovalNotPermittedError,
    PreviewRequiredError,
    SealRequiredError,
)
from quell_actioncenter.domain.lifecycle import UNDECIDED, State
from quell_runtime.errors import NotPermittedError, QuellError
from quell_runtime.roles import grants


@dataclass(frozen=True, slots=True)
class Question:
    """An action as voters meet it.

    `voters` have said yes. `preview_digest` is that of its newest preview, or of the one that the first vote fixed;
    empty: nobody has looked. `requester_votes`: the policy is for a single operator, and the requester is proven.
    `sealed`: votes for it must be sealed with own keys.
    """

    state: State
    permission: str
    etag: str
    requester: str = ""
    requester_votes: bool = False
    voters: tuple[str, ...] = ()
    cluster: bool = False
    preview_digest: str = ""
    sealed: bool = False


@dataclass(frozen=True, slots=True)
class Ballot:
    """What one person says, having seen the etag or a preview (digest in hex); the other is empty.

    `permissions` are patterns, as `quell_runtime.roles` writes them. `sealed`: with an own key, whose seal holds.
    """

    person: str
    permissions: frozenset[str]
    etag: str = ""
    preview_digest: str = ""
    sealed: bool = False


Guard = Callable[[Question, Ballot], QuellError | None]


def pending(question: Question, _ballot: Ballot) -> QuellError | None:
    """Refuse unless it waits for people."""
    if question.state in UNDECIDED:
        return None
    return ActionNotPendingError(f"it is {question.state.name} already", state=question.state.name)


def permitted(question: Question, ballot: Ballot) -> QuellError | None:
    """Refuse who lacks the kind's right."""
    if grants(ballot.permissions, question.permission):
        return None
    return ApprovalNotPermittedError(f"it needs the permission {question.permission}", permission=question.permission)


def may_reject(question: Question, ballot: Ballot) -> QuellError | None:
    """Refuse who lacks the kind's right, in the words of every other RPC."""
    return NotPermittedError(refusal.message, **refusal.metadata) if (refusal := permitted(question, ballot)) else None


def other_person(question: Question, ballot: Ballot) -> QuellError | None:
    """Refuse who asked for it."""
    if ballot.person != question.requester or question.requester_votes:
        return None
    return ApprovalNotPermittedError("who asked for an action can't approve it")


def first_vote(question: Question, ballot: Ballot) -> QuellError | None:
    """Refuse a second vote of one person, whichever identity it comes with."""
    return ApprovalNotPermittedError("this person has voted") if ballot.person in question.voters else None


def under_own_key(question: Question, ballot: Ballot) -> QuellError | None:
    """Refuse what is not sealed, where it must be."""
    if not question.sealed or ballot.sealed:
        return None
    return SealRequiredError("it needs an approval of its preview, sealed with your own key: `quell keys make`")


def looked_at(question: Question, ballot: Ballot) -> QuellError | None:
    """Refuse what was not looked at, if it is a cluster."""
    if not question.cluster or ballot.preview_digest:
        return None
    return PreviewRequiredError("its target is a cluster: preview it, and approve what the preview showed")


def unchanged(question: Question, ballot: Ballot) -> QuellError | None:
    """Refuse if what was seen no longer holds."""
    seen, now = (ballot.etag, question.etag)
    if ballot.preview_digest:
        seen, now = ballot.preview_digest, question.preview_digest
    return None if seen == now else ActionChangedError("it is no longer what was seen: look again")


APPROVAL: Sequence[Guard] = (pending, permitted, other_person, first_vote, under_own_key, looked_at, unchanged)
REJECTION: Sequence[Guard] = (pending, may_reject, unchanged)


def check(guards: Sequence[Guard], question: Question, ballot: Ballot) -> None:
    """Let a vote pass every guard.

    Raises:
        QuellError: The first refusal; its message tells all of them, unless it is too late for any vote.

    """
    refusals = [refusal for guard in guards if (refusal := guard(question, ballot))]
    if refusals:
        first = refusals[0]
        told = refusals[:1] if isinstance(first, ActionNotPendingError) else refusals
        raise type(first)("; ".join(refusal.message for refusal in told), **first.metadata)
