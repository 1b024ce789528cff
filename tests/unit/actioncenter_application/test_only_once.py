"""Whatever is sent twice counts once: the same id with the same content answers the present state, with other none."""

import asyncio
from collections.abc import Callable

import pytest
from quell.actioncenter.v1 import action_service_pb2, investigation_pb2, investigation_service_pb2

from center_bench import ANN, BOB, DETECTOR, Bench, block, url
from quell_actioncenter.domain.errors import (
    ActionIdTakenError,
    EvidenceIdTakenError,
    InvestigationIdTakenError,
    VoteIdTakenError,
)
from quell_actioncenter.store.tables import ACTIONS, EVIDENCE, INVESTIGATIONS
from quell_runtime.errors import QuellError

MANY = 100


def test_a_hundred_parallel_submissions_make_one_investigation(play: Callable[..., None]) -> None:
    """One row of each, one event of the submission, and the same answer to all."""

    async def story(bench: Bench) -> None:
        await asyncio.gather(*[bench.submit(url()) for _ in range(MANY)])
        assert len(await bench.store.select(INVESTIGATIONS)) == len(await bench.store.select(EVIDENCE)) == 1
        assert len(await bench.actions()) == 1
        assert [entry.event for entry in await bench.events("investigations/xdr.1")] == [
            "investigation_submitted",
            "evidence_added",
        ]
        with pytest.raises(InvestigationIdTakenError):
            await bench.submit(url(2))

    play(story)


def test_a_hundred_parallel_requests_votes_and_undos_make_one_each(play: Callable[..., None]) -> None:
    """The id that the client made decides, whoever comes first."""

    async def story(bench: Bench) -> None:
        actions, uuid = bench.center.actions, bench.uuid()
        request = action_service_pb2.CreateActionRequest(action_id=uuid, remediation=block(), comment="c")
        await asyncio.gather(*[actions.create(request, ANN) for _ in range(MANY)])
        (record,) = await bench.actions()
        vote_id = bench.uuid()
        after = await asyncio.gather(*[bench.approve(record.action, BOB, vote_id) for _ in range(MANY)])
        assert len({one.sequence for one in after}) == 1
        await bench.settle()
        undo = action_service_pb2.UndoActionRequest(name=record.name, undo_id=bench.uuid(), comment="back")
        await asyncio.gather(*[actions.undo(undo, ANN) for _ in range(MANY)])
        assert len(await bench.store.select(ACTIONS)) == 2
        assert (await bench.history(record.name)).count("undo_asked") == 1
        request.comment = "another"
        with pytest.raises(ActionIdTakenError):
            await actions.create(request, ANN)
        with pytest.raises(VoteIdTakenError):
            await bench.approve(record.action, ANN, vote_id)

    play(story)


def test_evidence_sent_again_is_counted_as_unchanged(play: Callable[..., None]) -> None:
    """An equal revision with other content refuses its whole message, and nothing of it is stored."""

    async def story(bench: Bench) -> None:
        await bench.submit(url(1), complete=False)
        again = investigation_service_pb2.AddEvidenceRequest(name="investigations/xdr.1", evidence=[url(1), url(2)])
        answer = await bench.center.investigations.add_evidence(again, DETECTOR)
        assert (answer.added, answer.replaced, answer.unchanged) == (1, 0, 1)
        other = investigation_service_pb2.AddEvidenceRequest(
            name="investigations/xdr.1", evidence=[url(3), url(1, where="https://other.example/")]
        )
        with pytest.raises(EvidenceIdTakenError):
            await bench.center.investigations.add_evidence(other, DETECTOR)
        assert len(await bench.store.select(EVIDENCE)) == 2

    play(story)


def test_equal_evidence_leads_to_one_action_and_two_investigations_to_two(play: Callable[..., None]) -> None:
    """One action per investigation, kind, canonical target and parameters."""

    async def story(bench: Bench) -> None:
        await bench.submit(url(1, where="https://evil.example/a"), url(2, where="https://EVIL.example:443/a"))
        assert len(await bench.actions()) == 1
        await bench.submit(url(1, where="https://evil.example/a"), number="2")
        assert len(await bench.actions()) == 2

    play(story)


def test_equal_pending_actions_are_superseded_by_the_one_that_is_decided(play: Callable[..., None]) -> None:
    """What was asked for by hand in the same investigation ends with it, and counts as it does."""

    async def story(bench: Bench) -> None:
        await bench.submit(url(1, where="https://evil.example/a"))
        (derived,) = await bench.actions()
        request = action_service_pb2.CreateActionRequest(
            action_id=bench.uuid(),
            remediation=derived.action.remediation,
            comment="c",
            investigation="investigations/xdr.1",
        )
        by_hand = await bench.center.actions.create(request, ANN)
        await bench.approve(derived.action)
        assert (await bench.action(by_hand.name)).action.superseded_by == derived.name
        await bench.settle()
        assert sorted(await bench.states()) == ["SUCCEEDED", "SUPERSEDED"]
        (investigation,) = await bench.store.select(INVESTIGATIONS)
        assert investigation.remediated == 2
        assert investigation.state == investigation_pb2.INVESTIGATION_STATE_REMEDIATED

    play(story)


def test_of_two_approvers_at_one_instant_one_wins(play: Callable[..., None]) -> None:
    """The other hears that it is decided; the action was let go once."""

    async def story(bench: Bench) -> None:
        await bench.submit(url())
        (record,) = await bench.actions()
        votes = [bench.approve(record.action, who) for who in (ANN, BOB)]
        answers = await asyncio.gather(*votes, return_exceptions=True)
        refusals = [answer for answer in answers if isinstance(answer, QuellError)]
        assert [refusal.reason for refusal in refusals] == ["ACTION_NOT_PENDING"]
        await bench.settle()
        assert len(bench.email.warrants) == 1

    play(story)
