"""A time that no calendar has, once it is stored, would keep everybody from reading the list that it is in."""

import json
from collections.abc import Callable

import pytest
from google.protobuf.json_format import MessageToJson
from google.protobuf.timestamp_pb2 import Timestamp
from quell.actioncenter.v1 import action_service_pb2, investigation_service_pb2
from quell.executor.v1 import executor_service_pb2, progress_pb2
from quell.remediation.v1 import evidence_pb2, outcome_pb2
from quell.warrant.v1 import receipt_pb2, warrant_pb2

from center_bench import Bench, block, url
from quell_runtime.interceptors.validation import FieldsInvalidError, check
from quell_runtime.times import impossible

NEVER = [
    Timestamp(seconds=1 << 60),
    Timestamp(seconds=-(1 << 60)),
    Timestamp(seconds=253_402_300_800),
    Timestamp(nanos=-1),
    Timestamp(nanos=1_000_000_000),
]
BORDERS = [Timestamp(seconds=-62_135_596_800), Timestamp(seconds=253_402_300_799, nanos=999_999_999), Timestamp()]


@pytest.mark.parametrize("time", NEVER)
def test_what_never_is_is_refused_by_its_path(time: Timestamp) -> None:
    """However deep it is; the outermost check of every RPC finds it."""
    request = investigation_service_pb2.SubmitInvestigationRequest(
        investigation_id="1", evidence=[url(1), evidence_pb2.Evidence(id="e", observe_time=time)]
    )
    assert impossible(request) == "evidence[1].observe_time"
    asked = action_service_pb2.CreateActionRequest(
        action_id="33f5c1e0-8f0e-4d0a-9a34-0f1f6f0f0003", comment="c", remediation=block(), revert_time=time
    )
    with pytest.raises(FieldsInvalidError, match="revert_time"):
        check(asked)


@pytest.mark.parametrize("time", BORDERS)
def test_what_can_be_is_let_through(time: Timestamp) -> None:
    """From the year 1 to the year 9999."""
    assert impossible(evidence_pb2.Evidence(observe_time=time)) == ""
    assert json.loads(MessageToJson(evidence_pb2.Evidence(observe_time=time)))


def test_an_executor_makes_no_list_unreadable(play: Callable[..., None]) -> None:
    """By its progress, or by an outcome that is sealed as it should be."""

    def silent(_warrant: warrant_pb2.Warrant) -> receipt_pb2.Receipt | None:
        return None

    async def story(bench: Bench) -> None:
        bench.email.answer = silent
        asked = await bench.create(block())
        await bench.approve(asked)
        await bench.settle()
        progress = progress_pb2.Progress(action=asked.name, message="at work", time=NEVER[0])
        reports = executor_service_pb2.ProgressReports(reports=[progress])
        bench.email.say(executor_service_pb2.WorkResponse(progress=reports))
        await bench.settle()
        assert MessageToJson(bench.center.shown(await bench.action(asked.name)))
        told = bench.email.carried_out(bench.email.warrants[0], outcome_pb2.EFFECT_STATE_NOT_IN_FORCE)
        told.warrant_digest = (await bench.action(asked.name)).warrant_digest
        told.outcome.start_time.CopyFrom(NEVER[0])
        bench.email.send_receipts(told)
        await bench.settle()
        assert MessageToJson(bench.center.shown(await bench.action(asked.name)))
        assert await bench.states() == ["DISPATCHED"]

    play(story)
