"""An approval binds what was seen: a cluster's list by its digest, anything else by its etag."""

import asyncio
from collections.abc import Callable

import pytest
from quell.actioncenter.v1 import action_pb2, action_service_pb2
from quell.executor.v1 import executor_service_pb2, plan_pb2
from quell.remediation.v1 import email_pb2, item_pb2, remediation_pb2, target_pb2
from quell.warrant.v1 import preview_pb2

from center_bench import ANN, BOB, Bench, block, url
from quell_actioncenter.domain.errors import (
    ActionChangedError,
    ApprovalNotPermittedError,
    ExecutorAwayError,
    PreviewRequiredError,
)
from quell_actioncenter.domain.policy_yaml import default_document
from quell_actioncenter.store.tables import ITEM_CHUNKS
from quell_runtime.seams import stamp

CLUSTER = remediation_pb2.Remediation(
    soft_delete_messages=email_pb2.SoftDeleteMessages(
        messages=target_pb2.MessageSelector(cluster=target_pb2.MessageCluster(subject="Invoice"))
    )
)


def found(digest: bytes, count: int) -> plan_pb2.PlanAnswer:
    """Return what an executor finds of a cluster."""
    items = [
        item_pb2.Item(message=item_pb2.MessageItem(mailbox=f"mailboxes/{number}@example.org", folder="INBOX"))
        for number in range(count)
    ]
    summary = plan_pb2.PlanSummary(basis=preview_pb2.BASIS_SEEN, item_count=count, snapshot_digest=digest)
    return plan_pb2.PlanAnswer(items=items, summary=summary)


async def look(bench: Bench, name: str) -> action_service_pb2.PreviewActionResponse:
    """Preview an action."""
    return await bench.center.actions.preview(action_service_pb2.PreviewActionRequest(name=name), BOB)


async def approve_seen(bench: Bench, name: str, digest: str) -> action_pb2.Action:
    """Approve what a preview showed."""
    request = action_service_pb2.ApproveActionRequest(
        name=name, vote_id=bench.uuid(), comment="yes", preview_digest=digest
    )
    return await bench.center.actions.approve(request, BOB)


def test_a_cluster_is_approved_by_its_newest_preview_and_sent_so(play: Callable[..., None]) -> None:
    """Without one, or by an older one, it is refused; the warrant carries the bytes and the snapshot."""

    async def story(bench: Bench) -> None:
        asked = await bench.create(CLUSTER)
        with pytest.raises(PreviewRequiredError):
            await bench.approve(asked)
        bench.email.plan = found(bytes([1] * 32), 600)
        older = await look(bench, asked.name)
        bench.email.plan = found(bytes([2] * 32), 3)
        newer = await look(bench, asked.name)
        assert (len(newer.items), newer.item_count) == (3, 3)
        assert len(await bench.store.select(ITEM_CHUNKS)) == 1
        assert (await bench.action(asked.name)).action.etag != asked.etag
        with pytest.raises(ActionChangedError):
            await approve_seen(bench, asked.name, older.preview_digest)
        await approve_seen(bench, asked.name, newer.preview_digest)
        await bench.settle()
        (warrant,) = bench.email.warrants
        assert (warrant.snapshot_digest, warrant.snapshot_count) == (bytes([2] * 32), 3)
        assert warrant.preview == newer.preview

    play(story)


def test_a_vote_while_somebody_looks_fixes_what_the_look_shows(play: Callable[..., None]) -> None:
    """Items and digest belong together: both are those that the first vote bound, however the look goes on."""

    async def story(bench: Bench) -> None:
        await bench.center.policies.load(default_document().replace("default: 1", "default: 3"))
        asked = await bench.create(CLUSTER)
        bench.email.plan = found(bytes([1] * 32), 2)
        first = await look(bench, asked.name)
        bench.email.plan = plan_pb2.PlanAnswer()
        looking = asyncio.create_task(look(bench, asked.name))
        await bench.settle()
        await approve_seen(bench, asked.name, first.preview_digest)
        later = found(bytes([2] * 32), 5)
        later.id = bench.email.heard[-1].plan.id
        bench.email.say(executor_service_pb2.WorkResponse(plan=later))
        shown = await looking
        assert (shown.preview, shown.preview_digest) == (first.preview, first.preview_digest)
        assert (len(shown.items), shown.item_count) == (2, 2)

    play(story)


def test_who_is_away_can_not_be_seen_and_a_cluster_must_be(play: Callable[..., None]) -> None:
    """One thing previews as NOT_SEEN; a cluster is refused until its executor is back."""

    async def story(bench: Bench) -> None:
        one, many = await bench.create(block()), await bench.create(CLUSTER)
        bench.email.vanish()
        await bench.settle()
        seen = preview_pb2.Preview.FromString((await look(bench, one.name)).preview)
        assert seen.basis == preview_pb2.BASIS_NOT_SEEN
        with pytest.raises(ExecutorAwayError):
            await look(bench, many.name)

    play(story)


def test_nobody_approves_alone_what_they_asked_for(play: Callable[..., None]) -> None:
    """Nor twice; and the etag must be the present one."""

    async def story(bench: Bench) -> None:
        asked = await bench.create(block(), ANN)
        with pytest.raises(ApprovalNotPermittedError):
            await bench.approve(asked, ANN)
        stale = action_pb2.Action(name=asked.name, etag="77")
        with pytest.raises(ActionChangedError):
            await bench.approve(stale, BOB)
        assert (await bench.approve(asked, BOB)).decision.rule == "by-hand-people"

    play(story)


def test_many_are_decided_each_with_its_answer(play: Callable[..., None]) -> None:
    """By name, or by filter what is unchanged since the list was read, clusters excepted when the answer is yes."""

    async def story(bench: Bench) -> None:
        await bench.submit(url(1), url(2))
        first, second = await bench.actions()
        cluster = await bench.create(CLUSTER)
        seen_time = stamp(bench.clock.now())
        await bench.settle(5)
        later = await bench.create(block("https://later.example/"))
        request = action_service_pb2.BatchDecideActionsRequest(
            vote_id=bench.uuid(),
            answer=action_pb2.ANSWER_APPROVE,
            comment="all",
            filter=action_service_pb2.SeenFilter(filter="x", seen_time=seen_time),
        )
        matching = [first.name, second.name, cluster.name, later.name]
        for _ in range(2):
            answers = await bench.center.actions.decide_many(request, BOB, matching)
            assert {one.name for one in answers if one.WhichOneof("result") == "state"} <= {first.name, second.name}
        await bench.settle()
        assert sorted(await bench.states()) == ["PENDING_APPROVAL", "PENDING_APPROVAL", "SUCCEEDED", "SUCCEEDED"]
        named = action_service_pb2.BatchDecideActionsRequest(
            vote_id=bench.uuid(),
            answer=action_pb2.ANSWER_REJECT,
            comment="no",
            actions=action_service_pb2.SeenActions(
                actions=[
                    action_service_pb2.SeenAction(name=later.name, etag=later.etag),
                    action_service_pb2.SeenAction(name=first.name, etag=first.action.etag),
                ]
            ),
        )
        rejected, refused = await bench.center.actions.decide_many(named, BOB)
        assert rejected.state == action_pb2.ACTION_STATE_REJECTED
        assert refused.refusal.reason == "ACTION_NOT_PENDING"

    play(story)
