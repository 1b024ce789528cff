"""Reports that make no sense end no stream: they would come again on the next one, and nobody else would be heard."""

from collections.abc import Callable

import pytest
from quell.executor.v1 import executor_service_pb2
from quell.remediation.v1 import outcome_pb2
from quell.warrant.v1 import effect_report_pb2, receipt_pb2, seal_pb2, warrant_pb2

from center_bench import Bench, block
from quell_actioncenter.domain.records import ActionRecord
from quell_runtime.sealing import SealKey
from quell_runtime.seams import stamp

STRANGER = SealKey(bytes([66] * 32))
NEVER = 1 << 60
"""Seconds since 1970 that no calendar has."""


def silent(_warrant: warrant_pb2.Warrant) -> receipt_pb2.Receipt | None:
    """Answer nothing."""
    return None


async def sent(bench: Bench, *patterns: str) -> list[ActionRecord]:
    """Have things sent that are not answered yet."""
    bench.email.answer = silent
    asked = [await bench.create(block(f"https://{pattern}.example/")) for pattern in patterns]
    for one in asked:
        await bench.approve(one)
    await bench.settle()
    return [await bench.action(one.name) for one in asked]


def receipt(bench: Bench, record: ActionRecord) -> receipt_pb2.Receipt:
    """Return the receipt of what was sent."""
    told = bench.email.carried_out(next(one for one in bench.email.warrants if one.action == record.name))
    told.warrant_digest = record.warrant_digest
    return told


def spoil(told: receipt_pb2.Receipt, how: str) -> None:
    """Make it senseless."""
    match how:
        case "a time that never was":
            told.time.seconds = NEVER
        case "a time of work that never was":
            told.outcome.start_time.seconds = -NEVER
        case "chunks without end":
            told.item_chunks = (1 << 32) - 1
        case "an id that is none":
            told.id = "x" * 100_000
        case "an action that is none":
            told.action = "actions/../../etc"


SENSELESS = (
    "a time that never was",
    "a time of work that never was",
    "chunks without end",
    "an id that is none",
    "an action that is none",
)


@pytest.mark.parametrize("how", SENSELESS)
@pytest.mark.parametrize("key", ["its own", "a stranger's"])
def test_a_senseless_receipt_holds_up_nobody(play: Callable[..., None], how: str, key: str) -> None:
    """Neither what comes with it in one message nor what comes after it, on the same stream."""

    async def story(bench: Bench) -> None:
        records = await sent(bench, "evil", "with", "after")
        link = bench.email.link
        spoilt, beside, after = (receipt(bench, one) for one in records)
        spoil(spoilt, how)
        name = receipt_pb2.Receipt.DESCRIPTOR.full_name
        hostile = bench.email.key if key == "its own" else STRANGER
        seals = [
            *hostile.seal(name, [spoilt.SerializeToString()]),
            *bench.email.key.seal(name, [beside.SerializeToString()]),
        ]
        bench.email.say(executor_service_pb2.WorkResponse(receipts=executor_service_pb2.Receipts(receipts=seals)))
        bench.email.send_receipts(after)
        await bench.settle(1)
        assert bench.email.link is link
        assert [(await bench.action(one.name)).action.state for one in records[1:]] == [7, 7]
        # Whatever is acknowledged has an id that the other side's contract lets through.
        assert all(len(each) == 36 for each in bench.email.stored)

    play(story)


@pytest.mark.parametrize("how", ["no subject", "no kind", "a time that never was", "an id that is none", "no message"])
def test_a_senseless_effect_report_holds_up_nobody(play: Callable[..., None], how: str) -> None:
    """Not even if it is sealed as it should be."""

    async def story(bench: Bench) -> None:
        (record,) = await sent(bench, "evil")
        link = bench.email.link
        report = effect_report_pb2.EffectReport(
            id=bench.uuid(),
            action=record.name,
            event=effect_report_pb2.EFFECT_EVENT_PROBED,
            effect=outcome_pb2.EFFECT_STATE_IN_FORCE,
            time=stamp(bench.clock.now()),
        )
        match how:
            case "no subject":
                report.ClearField("action")
            case "no kind":
                report.inherited.SetInParent()
            case "a time that never was":
                report.time.seconds = NEVER
            case "an id that is none":
                report.id = "no uuid"
        if how == "no message":
            reports = executor_service_pb2.EffectReports(reports=[seal_pb2.Sealed(body=b"\xff")])
            bench.email.say(executor_service_pb2.WorkResponse(effects=reports))
        else:
            bench.email.send_effect(report)
        bench.email.send_receipts(receipt(bench, record))
        await bench.settle(1)
        assert bench.email.link is link
        assert await bench.states() == ["SUCCEEDED"]
        assert all(len(each) == 36 for each in bench.email.stored)

    play(story)
