"""What came to a cluster after its list was approved is a pending action of its own."""

import hashlib
from collections.abc import Callable, Sequence

from quell.actioncenter.v1 import action_pb2, action_service_pb2, investigation_service_pb2
from quell.executor.v1 import plan_pb2
from quell.remediation.v1 import evidence_pb2, item_pb2, target_pb2, verdict_pb2
from quell.warrant.v1 import preview_pb2, receipt_pb2

from center_bench import BOB, DETECTOR, HARMLESS, MALICIOUS, Bench
from quell_actioncenter.application.newcomers import PAUSE_S


def cluster(verdict: int = MALICIOUS, revision: int = 0) -> evidence_pb2.Evidence:
    """Return evidence of a cluster."""
    found = target_pb2.MessageCluster(subject="Invoice")
    said = verdict_pb2.Verdict.ValueType(verdict)
    return evidence_pb2.Evidence(id="c1", revision=revision, verdict=said, cluster=found)


def finds(bench: Bench, list_number: int, *mailboxes: str) -> None:
    """Have the executor find one message in each of these mailboxes from now on."""
    digest = bytes([list_number] * 32)
    items = [item_pb2.Item(message=item_pb2.MessageItem(mailbox=f"mailboxes/{who}@example.org")) for who in mailboxes]
    summary = plan_pb2.PlanSummary(basis=preview_pb2.BASIS_SEEN, item_count=len(items), snapshot_digest=digest)
    bench.email.plan = plan_pb2.PlanAnswer(items=items, summary=summary)


def beyond(bench: Bench) -> list[Sequence[bytes]]:
    """Return which lists each look left out."""
    return [list(one.plan.beyond) for one in bench.email.heard if one.HasField("plan")]


async def approved(bench: Bench, name: str) -> None:
    """Look at an action and approve what was shown."""
    shown = await bench.center.actions.preview(action_service_pb2.PreviewActionRequest(name=name), BOB)
    request = action_service_pb2.ApproveActionRequest(
        name=name, vote_id=bench.uuid(), comment="yes", preview_digest=shown.preview_digest
    )
    await bench.center.actions.approve(request, BOB)


async def again(bench: Bench, revision: int, verdict: int = MALICIOUS) -> None:
    """Have the detector name the cluster anew."""
    request = investigation_service_pb2.AddEvidenceRequest(
        name="investigations/xdr.1", evidence=[cluster(verdict, revision)]
    )
    await bench.center.investigations.add_evidence(request, DETECTOR)


async def done(bench: Bench) -> str:
    """Have a cluster of two deleted; return the action."""
    await bench.submit(cluster())
    (asked,) = await bench.actions()
    finds(bench, 1, "ann", "bob")
    await approved(bench, asked.name)
    finds(bench, 2, "carol")
    await bench.settle()
    return asked.name


async def deltas(bench: Bench) -> list[action_pb2.Action]:
    """Return the deltas, oldest first."""
    return [one.action for one in await bench.actions() if one.action.delta_of]


def test_newcomers_wait_for_people_and_the_approved_list_is_done_without_them(play: Callable[..., None]) -> None:
    """The warrant has the approved list; the delta has the newcomers, and what its approval needs and binds."""

    async def story(bench: Bench) -> None:
        name = await done(bench)
        (delta,) = await deltas(bench)
        assert [warrant.snapshot_digest for warrant in bench.email.warrants] == [bytes([1] * 32)]
        assert (delta.delta_of, delta.state) == (name, action_pb2.ACTION_STATE_PENDING_APPROVAL)
        assert (delta.snapshot_digest, delta.snapshot_count) == ("02" * 32, 1)
        assert delta.approval_need.missing_votes == 1
        assert delta.origin == (await bench.action(name)).action.origin
        assert beyond(bench) == [[], [bytes([1] * 32)]]
        await approved(bench, delta.name)
        finds(bench, 3)
        await bench.settle()
        assert bench.email.warrants[-1].snapshot_digest == bytes([2] * 32)
        # Looked at again: nothing new, so nobody is asked.
        assert beyond(bench)[-1] == [bytes([1] * 32), bytes([2] * 32)]
        assert await bench.states() == ["SUCCEEDED", "SUCCEEDED"]

    play(story)


def test_without_newcomers_nobody_is_asked(play: Callable[..., None]) -> None:
    """A list that only shrank keeps its approval."""

    async def story(bench: Bench) -> None:
        await bench.submit(cluster())
        (asked,) = await bench.actions()
        finds(bench, 1, "ann", "bob")
        await approved(bench, asked.name)
        finds(bench, 2)
        await bench.settle()
        assert await bench.states() == ["SUCCEEDED"]

    play(story)


def test_one_is_open_and_refreshed_until_somebody_votes(play: Callable[..., None]) -> None:
    """Evidence that names the cluster again has it looked at again; a vote against it is an answer for good."""

    async def story(bench: Bench) -> None:
        await done(bench)
        (before,) = await deltas(bench)
        finds(bench, 4, "carol", "dan")
        await again(bench, 1)
        await bench.settle()
        (after,) = await deltas(bench)
        assert (after.snapshot_digest, after.snapshot_count) == ("04" * 32, 2)
        assert after.etag != before.etag
        rejected = action_service_pb2.RejectActionRequest(
            name=after.name, vote_id=bench.uuid(), comment="no", etag=after.etag
        )
        await bench.center.actions.reject(rejected, BOB)
        finds(bench, 5, "erin")
        await again(bench, 2)
        await bench.settle()
        assert beyond(bench)[-1] == [bytes([1] * 32), bytes([4] * 32)]
        assert [one.snapshot_count for one in await deltas(bench)] == [2, 1]

    play(story)


def test_what_nobody_decided_is_asked_again(play: Callable[..., None]) -> None:
    """An expired delta is no answer: its newcomers come with the next look."""

    async def story(bench: Bench) -> None:
        await done(bench)
        await bench.settle(8 * 24 * 3600)
        assert (await deltas(bench))[0].state == action_pb2.ACTION_STATE_EXPIRED
        await again(bench, 1)
        await bench.settle()
        assert beyond(bench)[-1] == [bytes([1] * 32)]
        assert len(await deltas(bench)) == 2

    play(story)


def test_a_verdict_that_falls_takes_its_newcomers_along(play: Callable[..., None]) -> None:
    """The undo of the list is proposed, and what still waits is called off."""

    async def story(bench: Bench) -> None:
        await done(bench)
        await again(bench, 1, HARMLESS)
        await bench.settle()
        assert sorted(await bench.states()) == ["CANCELED", "PENDING_APPROVAL", "SUCCEEDED"]

    play(story)


def test_an_executor_that_is_away_is_asked_when_it_is_back(play: Callable[..., None]) -> None:
    """And what a person ended is not looked at any more."""

    async def story(bench: Bench) -> None:
        await bench.submit(cluster(), complete=False)
        (asked,) = await bench.actions()
        finds(bench, 1, "ann")
        answers, bench.email.answer = bench.email.answer, lambda _warrant: None
        await approved(bench, asked.name)
        await bench.settle()
        bench.email.plan = plan_pb2.PlanAnswer()
        bench.email.send_receipts(_receipt(bench))
        await bench.settle()
        bench.email.vanish()
        finds(bench, 2, "carol")
        bench.email.answer = answers
        bench.email.reachable.set()
        await bench.settle(2 * PAUSE_S)
        assert len(await deltas(bench)) == 1

    play(story)


def _receipt(bench: Bench) -> receipt_pb2.Receipt:
    told = bench.email.carried_out(bench.email.warrants[0])
    told.warrant_digest = hashlib.sha256(bench.email.bodies[0]).digest()
    return told
