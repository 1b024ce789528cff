"""Approvals under people's own keys: counted by the centre, kept in history, and carried in the warrant."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from quell.actioncenter.v1 import action_pb2, action_service_pb2
from quell.executor.v1 import plan_pb2
from quell.warrant.v1 import approval_pb2, preview_pb2, seal_pb2

from center_bench import ANN, BOB, Bench, block, url
from quell_actioncenter.application.actor import Actor
from quell_actioncenter.domain.errors import ActionChangedError, ApprovalSealInvalidError, SealRequiredError
from quell_actioncenter.domain.policy_yaml import default_document
from quell_runtime.own_keys import APPROVAL, OwnKey, opened
from quell_runtime.sealing import SealKey
from quell_runtime.seams import when

KEY, SPARE, OTHER = (SealKey(bytes([number]) * 32) for number in (21, 22, 23))
SEALING_BOB = replace(BOB, keys=frozenset({KEY.public, SPARE.public}))
CYD = replace(BOB, name="cyd", keys=frozenset({OTHER.public}))
SEALED = default_document().replace("sealed: []", "sealed: [block_url]")
LATER = timedelta(days=20)


async def seen(bench: Bench, name: str) -> bytes:
    """Preview an action, and return what its approval binds."""
    request = action_service_pb2.PreviewActionRequest(name=name)
    return (await bench.center.actions.preview(request, BOB)).preview


def seal(bench: Bench, preview: bytes, person: str = "bob", **other: Any) -> seal_pb2.Sealed:  # noqa: ANN401
    """Seal the approval of a preview."""
    fields = {"key": KEY, "deployment": "example", "life": LATER, **other}
    own = OwnKey(fields["key"], fields["deployment"], person)
    now = bench.clock.now()
    return own.approval(preview_digest(preview), now, now + fields["life"])


def preview_digest(preview: bytes) -> bytes:
    """Return the digest that approvals name."""
    return hashlib.sha256(preview).digest()


async def approve(
    bench: Bench, name: str, sealed: seal_pb2.Sealed, actor: Actor = SEALING_BOB, vote_id: str = ""
) -> action_pb2.Action:
    """Vote with a sealed approval."""
    request = action_service_pb2.ApproveActionRequest(
        name=name, vote_id=vote_id or bench.uuid(), comment="yes", approval=sealed
    )
    return await bench.center.actions.approve(request, actor)


def test_a_sealed_approval_goes_into_history_and_warrant_as_it_is(play: Callable[..., None]) -> None:
    """Two people, one with a second key; the executor can check both without believing us."""

    async def story(bench: Bench) -> None:
        await bench.center.policies.load(SEALED.replace("kinds: {", "kinds: {block_url: 2, "))
        asked = await bench.create(block(), ANN)
        assert (asked.approval_need.missing_votes, asked.approval_need.sealed) == (2, True)
        preview = await seen(bench, asked.name)
        first, second = seal(bench, preview, key=SPARE), seal(bench, preview, "cyd", key=OTHER)
        await approve(bench, asked.name, first)
        assert await seen(bench, asked.name) == preview
        await approve(bench, asked.name, second, CYD)
        await bench.settle()
        (warrant,) = bench.email.warrants
        assert (warrant.preview, list(warrant.approvals)) == (preview, [first, second])
        assert opened(warrant.approvals[0], approval_pb2.Approval, [SPARE.public]).approver == "bob"
        told = [entry.event for entry in await bench.events(asked.name) if first.signature in entry.payload]
        assert told == ["action_voted_for", "action_claimed"]

    play(story)


def test_where_the_policy_asks_for_it_nothing_else_counts(play: Callable[..., None]) -> None:
    """Neither etag nor digest, alone or among many; and malicious evidence waits for it."""

    async def story(bench: Bench) -> None:
        await bench.center.policies.load(SEALED.replace("email: {malicious: approval", "email: {malicious: automatic"))
        await bench.submit(url())
        (record,) = await bench.actions()
        assert await bench.states() == ["PENDING_APPROVAL"]
        with pytest.raises(SealRequiredError):
            await bench.approve(record.action, SEALING_BOB)
        one = action_service_pb2.SeenAction(name=record.name, etag=record.action.etag)
        many = action_service_pb2.BatchDecideActionsRequest(
            vote_id=bench.uuid(),
            answer=action_pb2.ANSWER_APPROVE,
            comment="all",
            actions=action_service_pb2.SeenActions(actions=[one]),
        )
        (answer,) = await bench.center.actions.decide_many(many, SEALING_BOB)
        assert answer.refusal.reason == "SEAL_REQUIRED"
        assert not (await bench.action(record.name)).action.votes
        await approve(bench, record.name, seal(bench, await seen(bench, record.name)))
        await bench.settle()
        assert await bench.states() == ["SUCCEEDED"]

    play(story)


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": OTHER},
        {"person": "ann"},
        {"deployment": "elsewhere"},
        {"life": timedelta()},
    ],
)
def test_a_seal_that_is_not_this_persons_for_this_deployment_now_is_refused(
    play: Callable[..., None], wrong: dict[str, Any]
) -> None:
    """Nothing is counted; the right one is."""

    async def story(bench: Bench) -> None:
        asked = await bench.create(block(), ANN)
        preview = await seen(bench, asked.name)
        with pytest.raises(ApprovalSealInvalidError):
            await approve(bench, asked.name, seal(bench, preview, **wrong))
        assert not (await bench.action(asked.name)).action.votes
        assert (await approve(bench, asked.name, seal(bench, preview))).decision.kind

    play(story)


def test_what_is_no_approval_is_refused(play: Callable[..., None]) -> None:
    """Another message, bytes that can't be read, a time that never is; under the right key."""

    async def story(bench: Bench) -> None:
        asked = await bench.create(block(), ANN)
        preview = await seen(bench, asked.name)
        never = approval_pb2.Approval(approver="bob", deployment="example", preview_digest=preview_digest(preview))
        never.expire_time.seconds = 2**62
        bodies = [(APPROVAL, b"\xff"), (APPROVAL, never.SerializeToString()), ("quell.warrant.v1.Freeze", b"x")]
        for type_name, body in bodies:
            with pytest.raises(ApprovalSealInvalidError):
                await approve(bench, asked.name, KEY.seal(type_name, [body])[0])

    play(story)


def test_the_same_vote_again_answers_even_when_its_approval_is_past_its_end(play: Callable[..., None]) -> None:
    """And its action is not begun after it: what people approved has its end."""

    async def story(bench: Bench) -> None:
        bench.email.vanish()
        asked = await bench.create(block(), ANN)
        sealed, vote = seal(bench, await seen(bench, asked.name), life=timedelta(hours=1)), bench.uuid()
        voted = await approve(bench, asked.name, sealed, vote_id=vote)
        (approval,) = [one.approval for one in voted.votes]
        expire_time = opened(approval, approval_pb2.Approval, [KEY.public]).expire_time
        assert when(voted.target_expire_time) == when(expire_time)
        await bench.settle(2 * 60 * 60)
        again = await approve(bench, asked.name, sealed, vote_id=vote)
        assert again.state == action_pb2.ACTION_STATE_TIMED_OUT
        bench.email.reachable.set()
        await bench.settle(60)
        assert bench.email.warrants == []

    play(story)


def test_a_preview_that_is_no_longer_the_newest_is_not_approved(play: Callable[..., None]) -> None:
    """The seal holds, and binds something else."""

    async def story(bench: Bench) -> None:
        asked = await bench.create(block(), ANN)
        older = await seen(bench, asked.name)
        bench.email.plan = plan_pb2.PlanAnswer(summary=plan_pb2.PlanSummary(basis=preview_pb2.BASIS_NOT_SEEN))
        assert await seen(bench, asked.name) != older
        with pytest.raises(ActionChangedError):
            await approve(bench, asked.name, seal(bench, older))

    play(story)
