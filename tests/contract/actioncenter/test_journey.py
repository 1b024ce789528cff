"""The RPCs together: from a detector's evidence to an effect and back, as each caller sees it."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from quell.actioncenter.v1 import (
    action_pb2,
    action_service_pb2,
    audit_service_pb2,
    effect_service_pb2,
    investigation_pb2,
    investigation_service_pb2,
)
from quell.annotations.v1 import annotations_pb2
from quell.remediation.v1 import (
    email_pb2,
    evidence_pb2,
    item_pb2,
    outcome_pb2,
    remediation_pb2,
    target_pb2,
    verdict_pb2,
)

from center_house import House, Stub
from center_requests import Center, approval, block, create, new, submission, undo, url
from deployment import NAME, OWN_KEYS
from quell_runtime.identity import Identity
from quell_runtime.own_keys import METADATA, OwnKey
from quell_runtime.seams import stamp

PENDING = action_pb2.ACTION_STATE_PENDING_APPROVAL
SUCCEEDED = action_pb2.ACTION_STATE_SUCCEEDED


@pytest.fixture
def center(aio_stub: Callable[[str], Any]) -> Center:
    """Return the Action Center to ask."""
    return Center(aio_stub)


@pytest.fixture(scope="module")
def stranger(house: House) -> str:
    """Return another detector."""
    house.deployment.issue("ndr", Identity(annotations_pb2.CALLER_DETECTOR, house.deployment.name, "ndr"))
    return "ndr"


def campaign(subject: str) -> evidence_pb2.Evidence:
    """Return evidence of a phishing campaign."""
    cluster = target_pb2.MessageCluster(subject=subject)
    return evidence_pb2.Evidence(id="campaign", verdict=verdict_pb2.VERDICT_MALICIOUS, cluster=cluster)


async def actions_of(center: Center, investigation: str) -> list[action_pb2.Action]:
    """Return the actions of an investigation, oldest first."""
    asked = action_service_pb2.ListActionsRequest(
        filter=f'investigation = "{investigation}"', order_by="create_time asc"
    )
    found: list[action_pb2.Action] = list((await center.ask("carol", "ListActions", asked)).actions)
    return found


async def test_from_evidence_to_an_effect_and_back(center: Center, house: House) -> None:
    """A campaign waits for approval; what the preview shows is what is approved and done; undo puts it back."""
    name = await center.submitted(campaign("Salary"), complete=True)
    (action,) = await actions_of(center, name)
    assert action.state == PENDING
    preview = await center.ask("bob", "PreviewAction", action_service_pb2.PreviewActionRequest(name=action.name))
    assert {item.message.mailbox for item in preview.items} == {
        f"mailboxes/{who}@example.org" for who in ("ann", "bob", "carol")
    }
    before = set(house.mail.changed)
    await center.ask("bob", "ApproveAction", approval(action, preview_digest=preview.preview_digest))
    done = await center.until(action.name, "SUCCEEDED")
    assert len(house.mail.changed - before) == 3
    assert done.outcome.items.done_items == 3
    items = (
        await center.ask("carol", "ListActionItems", action_service_pb2.ListActionItemsRequest(name=action.name))
    ).items
    assert [item.state for item in items] == [item_pb2.ITEM_STATE_DONE] * 3
    investigation = (
        await center.ask("xdr", "GetInvestigation", investigation_service_pb2.GetInvestigationRequest(name=name))
    ).investigation
    assert investigation.state == investigation_pb2.INVESTIGATION_STATE_REMEDIATED
    in_force = await center.ask(
        "carol", "ListEffects", effect_service_pb2.ListEffectsRequest(filter=f"action = {action.name}")
    )
    assert [effect.state for effect in in_force.effects] == [outcome_pb2.EFFECT_STATE_IN_FORCE]
    back = (await center.ask("ann", "UndoAction", undo(action.name))).action
    await center.until(back.name, "SUCCEEDED")
    assert house.mail.changed == before
    events = (
        await center.ask("carol", "ListActionEvents", action_service_pb2.ListActionEventsRequest(name=action.name))
    ).events
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert {"asked", "previewed", "approved", "claimed", "found_in_force"} <= {event.event for event in events}
    assert (await center.ask("carol", "VerifyAudit", audit_service_pb2.VerifyAuditRequest())).broken == 0


async def test_a_detector_sees_its_own_investigations_only(
    center: Center, house: House, stranger: str, grpc_server: int
) -> None:
    """What another one submitted is not there: not to get, list, watch, or add to."""
    name = await center.submitted(url("e"))
    async with house.deployment.channel(grpc_server, stranger) as channel:
        stub: Any = Stub(channel)
        for method, request in (
            ("GetInvestigation", investigation_service_pb2.GetInvestigationRequest(name=name)),
            ("ListEvidence", investigation_service_pb2.ListEvidenceRequest(name=name)),
            ("CompleteInvestigation", investigation_service_pb2.CompleteInvestigationRequest(name=name)),
            ("AddEvidence", [investigation_service_pb2.AddEvidenceRequest(name=name, evidence=[url("f")])]),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await getattr(stub, method)(request, timeout=10)
            assert refusal.value.code() is grpc.StatusCode.NOT_FOUND, method
        listed = await stub.ListInvestigations(investigation_service_pb2.ListInvestigationsRequest(), timeout=10)
        assert (list(listed.investigations), listed.total_size) == ([], 0)
        watch = stub.WatchInvestigations(investigation_service_pb2.WatchInvestigationsRequest())
        own = await stub.SubmitInvestigation(submission(new()), timeout=10)
        await center.submitted(url("e"))
        assert (await watch.read()).investigation.name == own.investigation.name
        watch.cancel()
    listed = await center.ask("xdr", "ListInvestigations", investigation_service_pb2.ListInvestigationsRequest())
    assert all(found.name.startswith("investigations/xdr.") for found in listed.investigations)


async def test_what_a_service_asks_for_somebody_waits_for_others(center: Center) -> None:
    """Without that person's own credential it is pending, and that person has no vote."""
    found = (await center.ask("email", "CreateAction", create(block(""), on_behalf_of="ann"))).action
    assert (found.state, found.origin.request.actor, found.origin.request.via) == (PENDING, "ann", "email")
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await center.ask("ann", "ApproveAction", approval(found))
    assert refusal.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_with_that_persons_own_token_it_is_as_if_the_person_asked(center: Center) -> None:
    """What lets go happens at once for who may; without the token, the same waits. Again, it is the same action."""
    release = remediation_pb2.Remediation(unblock_url=email_pb2.UnblockUrl(pattern="https://token.example/*"))
    bare = create(release, on_behalf_of="ann")
    assert (await center.ask("email", "CreateAction", bare)).action.state == PENDING
    request = create(release, on_behalf_of="ann")
    for _ in range(2):
        token = OwnKey(OWN_KEYS["ann"], NAME, "ann").actor_token(
            "email", f"actions/{request.action_id}", datetime.now(UTC)
        )
        answer = await center.stubs("email").CreateAction(request, timeout=10, metadata=[(METADATA, token)])
        found = answer.action
        assert (found.origin.request.actor, found.origin.request.via) == ("ann", "")
        assert found.decision.kind == action_pb2.DECISION_KIND_AUTOMATIC
    assert await center.until(found.name, "NOT_NEEDED", "SUCCEEDED")


def batch(answer: str, investigation: str, **fields: Any) -> action_service_pb2.BatchDecideActionsRequest:  # noqa: ANN401 - by name
    """Return a vote on all of an investigation's actions, as they are now."""
    seen = action_service_pb2.SeenFilter(
        filter=f'investigation = "{investigation}"', seen_time=stamp(datetime.now(UTC))
    )
    return action_service_pb2.BatchDecideActionsRequest(
        **{"vote_id": new(), "answer": answer, "comment": "all", "filter": seen, **fields}
    )


async def test_a_vote_on_all_that_match_leaves_out_clusters_and_what_is_new(center: Center) -> None:
    """They need a preview each; what came later was not seen. The same again reaches nothing twice."""
    name = await center.submitted(*(url(str(number)) for number in range(5)), campaign("Bonus"))
    vote = batch("ANSWER_APPROVE", name)
    added = [investigation_service_pb2.AddEvidenceRequest(name=name, evidence=[url("late")])]
    await center.stubs("xdr").AddEvidence(added, timeout=10)
    answer = await center.ask("bob", "BatchDecideActions", vote)
    assert (len(answer.results), answer.remaining) == (5, 0)
    assert {result.WhichOneof("result") for result in answer.results} == {"state"}
    left = [action for action in await actions_of(center, name) if action.state == PENDING]
    assert [action.remediation.WhichOneof("kind") for action in left] == ["soft_delete_messages", "block_url"]
    again = await center.ask("bob", "BatchDecideActions", vote)
    assert (list(again.results), again.remaining) == ([], 0)
    no = await center.ask("bob", "BatchDecideActions", batch("ANSWER_REJECT", name))
    assert [result.state for result in no.results] == [action_pb2.ACTION_STATE_REJECTED] * 2


async def test_a_vote_on_named_actions_answers_in_their_order(center: Center) -> None:
    """Each with its state, or with why its vote does not count."""
    first, second = await center.create(block("")), await center.create(block(""))
    seen = [
        action_service_pb2.SeenAction(name=second.name, etag="77"),
        action_service_pb2.SeenAction(name=f"actions/{new()}", etag="1"),
        action_service_pb2.SeenAction(name=first.name, etag=first.etag),
    ]
    asked = action_service_pb2.BatchDecideActionsRequest(
        vote_id=new(),
        answer=action_pb2.ANSWER_APPROVE,
        comment="some",
        actions=action_service_pb2.SeenActions(actions=seen),
    )
    results = (await center.ask("bob", "BatchDecideActions", asked)).results
    assert [result.name for result in results] == [one.name for one in seen]
    assert [result.refusal.reason for result in results] == ["ACTION_CHANGED", "ACTION_UNKNOWN", ""]


async def test_a_watch_tells_the_life_of_an_action(center: Center, house: House) -> None:
    """From pending through running, with progress, to its end; then a resumed one tells nothing that was told."""
    action = await center.create(block(f"stuck-{new()}"))
    asked = action_service_pb2.WatchActionsRequest(filter=f"name = {action.name}")
    watch = center.stubs("carol").WatchActions(asked)
    first = await watch.read()
    assert (first.action.state, first.matches) == (PENDING, True)
    await center.approve(action)
    seen = first
    while not seen.action.HasField("progress"):
        seen = await asyncio.wait_for(watch.read(), 10)
    assert (seen.action.state, seen.action.progress.percent) == (action_pb2.ACTION_STATE_RUNNING, 50)

    async def release() -> None:
        house.mail.released.set()

    await house.within(release())
    while seen.action.state != SUCCEEDED:
        seen = await asyncio.wait_for(watch.read(), 10)
    watch.cancel()
    resumed = center.stubs("carol").WatchActions(
        action_service_pb2.WatchActionsRequest(filter=f"name = {action.name}", resume_token=seen.resume_token)
    )
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(resumed.read(), 0.5)
    resumed.cancel()


async def test_a_page_shows_its_total_and_the_next(center: Center) -> None:
    """The list of an investigation's evidence and actions, page by page."""
    name = await center.submitted(*(url(str(number)) for number in range(7)))
    asked = action_service_pb2.ListActionsRequest(filter=f'investigation = "{name}"', page_size=3)
    seen: list[str] = []
    for size in (3, 3, 1):
        page = await center.ask("carol", "ListActions", asked)
        assert (len(page.actions), page.total_size) == (size, 7)
        seen += [action.name for action in page.actions]
        asked.page_token = page.next_page_token
    assert not asked.page_token
    assert len(set(seen)) == 7
    listed = investigation_service_pb2.ListEvidenceRequest(name=name, page_size=4, filter="verdict = SUSPICIOUS")
    evidence = (await center.ask("xdr", "ListEvidence", listed)).evidence
    assert [one.evidence.id for one in evidence] == ["0", "1", "2", "3"]
    assert all(len(one.actions) == 1 for one in evidence)
