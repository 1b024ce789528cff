"""Which votes count."""

from dataclasses import replace

import pytest

from quell_actioncenter.domain import guards
from quell_actioncenter.domain.guards import APPROVAL, REJECTION, Ballot, Question
from quell_actioncenter.domain.lifecycle import UNDECIDED, State
from quell_runtime.errors import QuellError

QUESTION = Question(state=State.PENDING_APPROVAL, permission="isolate_device.approve", etag="3", requester="ann")
BALLOT = Ballot(person="bob", permissions=frozenset({"isolate_device.approve"}), etag="3")
CLUSTER = replace(QUESTION, cluster=True, preview_digest="d" * 64)


def refusal(question: Question, ballot: Ballot, rules: object = APPROVAL) -> str:
    """Return the reason for which a vote does not count, or an empty string."""
    try:
        guards.check(APPROVAL if rules is APPROVAL else REJECTION, question, ballot)
    except QuellError as refused:
        return refused.reason
    return ""


@pytest.mark.parametrize("state", State)
def test_only_what_is_pending_is_voted_on(state: State) -> None:
    """Every other state says which it is."""
    question = replace(QUESTION, state=state)
    wanted = "" if state in UNDECIDED else "ACTION_NOT_PENDING"
    assert refusal(question, BALLOT) == wanted
    assert refusal(question, BALLOT, REJECTION) == wanted


@pytest.mark.parametrize(
    ("question", "ballot", "reason"),
    [
        (QUESTION, replace(BALLOT, permissions=frozenset({"release_device.approve"})), "APPROVAL_NOT_PERMITTED"),
        (QUESTION, replace(BALLOT, person="ann"), "APPROVAL_NOT_PERMITTED"),
        (replace(QUESTION, requester_votes=True), replace(BALLOT, person="ann"), ""),
        (replace(QUESTION, voters=("cyd", "bob")), BALLOT, "APPROVAL_NOT_PERMITTED"),
        (replace(QUESTION, voters=("cyd",)), BALLOT, ""),
        (QUESTION, replace(BALLOT, etag="2"), "ACTION_CHANGED"),
        (QUESTION, replace(BALLOT, etag=""), "ACTION_CHANGED"),
        (CLUSTER, BALLOT, "PREVIEW_REQUIRED"),
        (CLUSTER, replace(BALLOT, etag="", preview_digest="d" * 64), ""),
        (CLUSTER, replace(BALLOT, etag="", preview_digest="e" * 64), "ACTION_CHANGED"),
        (replace(CLUSTER, preview_digest=""), replace(BALLOT, etag="", preview_digest="d" * 64), "ACTION_CHANGED"),
        (replace(QUESTION, preview_digest="d" * 64), replace(BALLOT, etag="", preview_digest="d" * 64), ""),
        (replace(QUESTION, sealed=True), BALLOT, "SEAL_REQUIRED"),
        (replace(CLUSTER, sealed=True), replace(BALLOT, etag="", preview_digest="d" * 64), "SEAL_REQUIRED"),
        (replace(CLUSTER, sealed=True), replace(BALLOT, etag="", preview_digest="d" * 64, sealed=True), ""),
        (replace(CLUSTER, sealed=True), replace(BALLOT, preview_digest="e" * 64, sealed=True), "ACTION_CHANGED"),
        (CLUSTER, replace(BALLOT, etag="", preview_digest="d" * 64, sealed=True), ""),
    ],
)
def test_an_approval_must_pass_every_guard(question: Question, ballot: Ballot, reason: str) -> None:
    """Right, another person, once, having seen what is so."""
    assert refusal(question, ballot) == reason


@pytest.mark.parametrize(
    ("question", "ballot", "reason"),
    [
        (QUESTION, replace(BALLOT, permissions=frozenset()), "NOT_PERMITTED"),
        (QUESTION, replace(BALLOT, person="ann"), ""),
        (replace(QUESTION, voters=("bob",)), BALLOT, ""),
        (CLUSTER, BALLOT, ""),
        (QUESTION, replace(BALLOT, etag="2"), "ACTION_CHANGED"),
    ],
)
def test_saying_no_asks_for_less(question: Question, ballot: Ballot, reason: str) -> None:
    """The right and the etag; who asked, who voted yes before, and who has not looked may say no."""
    assert refusal(question, ballot, REJECTION) == reason


def test_all_reasons_are_told() -> None:
    """The first gives the code, the message has all; of what is decided already only that is told."""
    question = replace(QUESTION, voters=("ann",))
    ballot = Ballot("ann", frozenset(), etag="1")
    with pytest.raises(QuellError) as refused:
        guards.check(APPROVAL, question, ballot)
    assert refused.value.reason == "APPROVAL_NOT_PERMITTED"
    assert refused.value.metadata == {"permission": QUESTION.permission}
    assert refused.value.message.count(";") == 3
    with pytest.raises(QuellError) as refused:
        guards.check(APPROVAL, replace(question, state=State.FAILED, permission=""), ballot)
    assert (refused.value.reason, refused.value.message) == ("ACTION_NOT_PENDING", "it is FAILED already")
    assert refused.value.metadata == {"state": "FAILED"}
