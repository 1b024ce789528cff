"""A hostile device, or a hostile device service, tells the centre of what is another's: nothing of it is believed."""

import hashlib
from collections.abc import Callable

import pytest
from quell.executor.v1 import executor_service_pb2, target_report_pb2
from quell.remediation.v1 import email_pb2, outcome_pb2, remediation_pb2
from quell.warrant.v1 import effect_report_pb2, receipt_pb2, warrant_pb2

from center_bench import Bench, block, file
from quell_actioncenter.application.history import action_event_of
from quell_actioncenter.domain.records import ActionRecord
from quell_actioncenter.store.tables import EFFECTS, ITEM_CHUNKS, TARGETS
from quell_runtime.sealing import SealKey
from quell_runtime.seams import stamp

VICTIM, HOSTILE = SealKey(bytes([9] * 32)), SealKey(bytes([10] * 32))
CONNECTED = target_report_pb2.TARGET_STATE_CONNECTED


def silent(_warrant: warrant_pb2.Warrant) -> receipt_pb2.Receipt | None:
    """Answer nothing."""
    return None


async def blocked(bench: Bench) -> ActionRecord:
    """Have a URL blocked by the email service."""
    asked = await bench.create(block())
    await bench.approve(asked)
    await bench.settle()
    return await bench.action(asked.name)


async def quarantined(bench: Bench) -> tuple[ActionRecord, ActionRecord]:
    """Have a file quarantined by the victim, and one asked of the hostile device, which has not answered yet."""
    bench.device.answer = silent
    devices = [bench.device.send_target(key, CONNECTED) for key in (VICTIM, HOSTILE)]
    await bench.settle()
    await bench.submit(*(file(number, device=device) for number, device in enumerate(devices)))
    await bench.settle()
    done, asked = sorted(await bench.actions(), key=lambda one: devices.index(one.device))
    bench.device.send_receipts(receipt(bench, done), key=VICTIM)
    await bench.settle()
    return await bench.action(done.name), asked


def receipt(bench: Bench, record: ActionRecord) -> receipt_pb2.Receipt:
    """Return the receipt of what was sent."""
    told = bench.device.carried_out(next(one for one in bench.device.warrants if one.action == record.name))
    told.warrant_digest = record.warrant_digest
    return told


@pytest.mark.parametrize("whose", ["another device's", "the email service's"])
def test_a_device_takes_over_no_effect_of_others(play: Callable[..., None], whose: str) -> None:
    """Its receipt is proven and about its own order, and names an effect that is not its own."""

    async def story(bench: Bench) -> None:
        done, asked = await quarantined(bench)
        if whose == "the email service's":
            done = await blocked(bench)
        told = receipt(bench, asked)
        told.takes_over.append(done.name)
        bench.device.send_receipts(told, key=HOSTILE)
        await bench.settle()
        after = await bench.action(done.name)
        assert not after.action.taken_over_by
        assert after.action.state == done.action.state
        assert {one.action for one in await bench.store.select(EFFECTS)} >= {done.name}
        assert not (await bench.action(asked.name)).action.takes_over

    play(story)


def test_a_device_shares_the_fate_of_no_action_of_others(play: Callable[..., None]) -> None:
    """It says that a newer action came first, which another device has carried out."""

    async def story(bench: Bench) -> None:
        done, asked = await quarantined(bench)
        told = receipt(bench, asked)
        told.disposition = receipt_pb2.DISPOSITION_SUPERSEDED
        told.ClearField("outcome")
        told.superseded_by = done.name
        bench.device.send_receipts(told, key=HOSTILE)
        await bench.settle()
        assert not (await bench.action(asked.name)).action.superseded_by
        assert not (await bench.action(done.name)).supersedes

    play(story)


@pytest.mark.parametrize("about", ["an action", "what was inherited"])
def test_the_device_service_tells_of_no_effect_of_the_email_service(play: Callable[..., None], about: str) -> None:
    """It seals with its own key, which counts for nothing but its own plane."""

    async def story(bench: Bench) -> None:
        done = await blocked(bench)
        report = effect_report_pb2.EffectReport(
            id=bench.uuid(),
            event=effect_report_pb2.EFFECT_EVENT_DRIFTED,
            effect=outcome_pb2.EFFECT_STATE_NOT_IN_FORCE,
            time=stamp(bench.clock.now()),
        )
        if about == "an action":
            report.action = done.name
        else:
            report.effect = outcome_pb2.EFFECT_STATE_IN_FORCE
            other = remediation_pb2.Remediation(block_url=email_pb2.BlockUrl(pattern="https://other.example/"))
            report.inherited.CopyFrom(other)
        bench.device.send_effect(report)
        await bench.settle()
        assert [one.action for one in await bench.store.select(EFFECTS)] == [done.name]
        assert [one.event for one in await bench.events()].count("effect_report_orphaned") == 1

    play(story)


def test_the_device_service_brings_no_items_of_the_email_service(play: Callable[..., None]) -> None:
    """Those of its own plane are kept, as far as a receipt will prove them."""

    async def story(bench: Bench) -> None:
        bench.email.answer = silent
        asked = await blocked(bench)
        chunk = executor_service_pb2.ItemChunk(id=bench.uuid(), action=asked.name, index=0, body=b"forged")
        bench.device.say(executor_service_pb2.WorkResponse(items=executor_service_pb2.ItemChunks(chunks=[chunk])))
        await bench.settle()
        assert not await bench.store.select(ITEM_CHUNKS)

    play(story)


def test_the_email_service_enrols_no_device(play: Callable[..., None]) -> None:
    """However well the statement of a key that it made is sealed."""

    async def story(bench: Bench) -> None:
        bench.email.send_target(HOSTILE, CONNECTED, "victim.example")
        await bench.settle()
        assert not await bench.store.select(TARGETS)

    play(story)


def test_a_device_claims_a_bounded_number_of_names(play: Callable[..., None]) -> None:
    """One that is renamed without end does not fill the centre."""

    async def story(bench: Bench) -> None:
        for number in range(120):
            bench.device.send_target(HOSTILE, CONNECTED, f"host{number}.example")
        await bench.settle()
        (target,) = await bench.store.select(TARGETS)
        assert len(target.host_names) == 100
        assert target.host_names[0] == "host0.example"

    play(story)


def test_items_that_are_not_the_sealed_ones_are_told_apart(play: Callable[..., None]) -> None:
    """Items are not sealed, their digest in the receipt is; who brings others is found out."""

    async def story(bench: Bench) -> None:
        _, asked = await quarantined(bench)
        chunk = executor_service_pb2.ItemChunk(id=bench.uuid(), action=asked.name, index=0, body=b"forged")
        bench.device.say(executor_service_pb2.WorkResponse(items=executor_service_pb2.ItemChunks(chunks=[chunk])))
        told = receipt(bench, asked)
        told.item_chunks, told.item_digest = 1, hashlib.sha256(b"true").digest()
        bench.device.send_receipts(told, key=HOSTILE)
        await bench.settle()
        last = (await bench.events(asked.name))[-1]
        assert "not those that the receipt is about" in action_event_of(last).comment

    play(story)
