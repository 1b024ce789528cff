"""A receipt counts if its seal holds under the key that the warrant named and it names the bytes that were sent."""

from collections.abc import Callable

import pytest
from quell.executor.v1 import executor_service_pb2
from quell.remediation.v1 import failure_pb2, item_pb2, outcome_pb2
from quell.warrant.v1 import effect_report_pb2, receipt_pb2, warrant_pb2

from center_bench import Bench, block
from quell_actioncenter.domain.records import ActionRecord
from quell_actioncenter.store.tables import EFFECTS, ITEM_CHUNKS
from quell_runtime.sealing import SealKey
from quell_runtime.seams import stamp

IN_FORCE, PARTLY = outcome_pb2.EFFECT_STATE_IN_FORCE, outcome_pb2.EFFECT_STATE_PARTLY_IN_FORCE
ALREADY, GONE = outcome_pb2.EFFECT_STATE_ALREADY_IN_FORCE, outcome_pb2.EFFECT_STATE_TARGET_GONE
NOT, UNKNOWN = outcome_pb2.EFFECT_STATE_NOT_IN_FORCE, outcome_pb2.EFFECT_STATE_UNKNOWN
REVERTED = effect_report_pb2.EFFECT_EVENT_REVERTED_BY_TIME
PROBED, DRIFTED = effect_report_pb2.EFFECT_EVENT_PROBED, effect_report_pb2.EFFECT_EVENT_DRIFTED


def silent(_warrant: warrant_pb2.Warrant) -> receipt_pb2.Receipt | None:
    """Answer nothing."""
    return None


async def sent(bench: Bench, pattern: str = "https://evil.example/") -> ActionRecord:
    """Have something sent that is not answered yet."""
    bench.email.answer = silent
    asked = await bench.create(block(pattern))
    await bench.approve(asked)
    await bench.settle()
    return await bench.action(asked.name)


def receipt(
    bench: Bench, record: ActionRecord, effect: outcome_pb2.EffectState.ValueType = IN_FORCE
) -> receipt_pb2.Receipt:
    """Return the receipt of what was sent."""
    warrant = next(one for one in bench.email.warrants if one.action == record.name)
    told = bench.email.carried_out(warrant, effect)
    told.warrant_digest = record.warrant_digest
    return told


@pytest.mark.parametrize(
    ("effect", "state", "reason", "in_force"),
    [
        (IN_FORCE, "SUCCEEDED", "", True),
        (PARTLY, "PARTIALLY_SUCCEEDED", "", True),
        (ALREADY, "NOT_NEEDED", "", False),
        (GONE, "NOT_NEEDED", "", False),
        (NOT, "FAILED", "EFFECT_NOT_OBSERVED", False),
        (UNKNOWN, "FAILED", "EFFECT_UNKNOWN", True),
    ],
)
def test_the_state_is_what_was_seen(
    play: Callable[..., None],
    effect: outcome_pb2.EffectState.ValueType,
    state: str,
    reason: str,
    in_force: bool,  # noqa: FBT001 - a case
) -> None:
    """And the register holds what is in force, or may be."""

    async def story(bench: Bench) -> None:
        record = await sent(bench)
        bench.email.send_receipts(receipt(bench, record, effect))
        await bench.settle()
        after = await bench.action(record.name)
        assert await bench.states() == [state]
        assert after.action.failure.reason == reason
        assert bool(await bench.store.select(EFFECTS)) is in_force

    play(story)


def test_a_receipt_twice_counts_once_and_is_acknowledged_twice(play: Callable[..., None]) -> None:
    """Its event stands once in the history."""

    async def story(bench: Bench) -> None:
        record = await sent(bench)
        told = receipt(bench, record)
        bench.email.send_receipts(told)
        bench.email.send_receipts(told)
        await bench.settle()
        assert (await bench.history(record.name)).count("found_in_force") == 1
        acknowledged = [id_ for one in bench.email.heard for id_ in one.stored.ids]
        assert acknowledged == [told.id, told.id]

    play(story)


@pytest.mark.parametrize("lie", ["another key", "other bytes", "a changed body", "nothing known"])
def test_what_is_not_proven_is_kept_as_an_orphan_and_changes_nothing(play: Callable[..., None], lie: str) -> None:
    """It is acknowledged, shown in the log, and the action stays DISPATCHED."""

    async def story(bench: Bench) -> None:
        record = await sent(bench)
        told = receipt(bench, record)
        if lie == "other bytes":
            told.warrant_digest = bytes(32)
        if lie == "nothing known":
            told.action = f"actions/{bench.uuid()}"
        key = SealKey(bytes([7] * 32)) if lie == "another key" else bench.email.key
        if lie == "a changed body":
            sealed = key.seal(told.DESCRIPTOR.full_name, [told.SerializeToString()])[0]
            told.outcome.effect = PARTLY
            sealed.body = told.SerializeToString()
            up = executor_service_pb2.WorkResponse(receipts=executor_service_pb2.Receipts(receipts=[sealed]))
            bench.email.say(up)
        else:
            bench.email.send_receipts(told, key=key)
        await bench.settle()
        assert await bench.states() == ["DISPATCHED"]
        assert told.id in bench.email.stored
        assert [one.event.endswith("receipt_orphaned") for one in await bench.events()].count(True) == 1

    play(story)


def test_after_the_end_a_receipt_changes_the_outcome_alone(play: Callable[..., None]) -> None:
    """And one without an outcome never replaces one with."""

    async def story(bench: Bench) -> None:
        record = await sent(bench)
        for effect in (PARTLY, IN_FORCE):
            bench.email.send_receipts(receipt(bench, record, effect))
            await bench.settle()
        late = receipt(bench, record)
        late.ClearField("outcome")
        late.disposition = receipt_pb2.DISPOSITION_REFUSED
        late.failure.CopyFrom(failure_pb2.Failure(reason="CLOCK_BEHIND"))
        bench.email.send_receipts(late)
        await bench.settle()
        after = await bench.action(record.name)
        assert await bench.states() == ["PARTIALLY_SUCCEEDED"]
        assert after.action.outcome.effect == IN_FORCE
        assert not after.action.failure.reason
        (effect_record,) = await bench.store.select(EFFECTS)
        assert effect_record.state == IN_FORCE

    play(story)


def test_the_newest_owns_and_undo_of_an_older_names_the_owner(play: Callable[..., None]) -> None:
    """The register has one effect, the owner's."""

    async def story(bench: Bench) -> None:
        first = await sent(bench)
        bench.email.send_receipts(receipt(bench, first))
        await bench.settle()
        second = await sent(bench)
        told = receipt(bench, second, ALREADY)
        told.takes_over.append(first.name)
        bench.email.send_receipts(told)
        await bench.settle()
        (effect,) = await bench.store.select(EFFECTS)
        assert effect.action == second.name
        assert list((await bench.action(first.name)).action.taken_over_by) == [second.name]
        with pytest.raises(Exception, match="owns its effect") as refusal:
            await bench.undo(first.name)
        assert refusal.value.metadata == {"action": second.name}  # type: ignore[attr-defined]
        bench.email.answer = bench.email.carried_out
        await bench.undo(second.name)
        await bench.settle()
        assert not await bench.store.select(EFFECTS)

    play(story)


def test_what_happens_to_an_effect_later_is_reported(play: Callable[..., None]) -> None:
    """A drift is shown, a probe that finds the same is no news, and what reverted by itself can't be undone."""

    async def story(bench: Bench) -> None:
        record = await sent(bench)
        bench.email.send_receipts(receipt(bench, record))
        await bench.settle()

        def report(event: effect_report_pb2.EffectEvent.ValueType, effect: outcome_pb2.EffectState.ValueType) -> None:
            told = effect_report_pb2.EffectReport(
                id=bench.uuid(), action=record.name, event=event, effect=effect, time=stamp(bench.clock.now())
            )
            bench.email.send_effect(told)
            bench.email.send_effect(told, key=SealKey(bytes([7] * 32)))

        for event, effect in ((PROBED, IN_FORCE), (DRIFTED, PARTLY), (REVERTED, NOT)):
            await bench.settle(60)
            report(event, effect)
            await bench.settle()
            kept = await bench.store.select(EFFECTS)
            assert [one.state for one in kept] == ([] if event == REVERTED else [effect])
        assert (await bench.history(record.name)).count("effect_reported") == 2
        assert [one.event for one in await bench.events()].count("effect_report_orphaned") == 3
        with pytest.raises(Exception, match="took it back already"):
            await bench.undo(record.name)

    play(story)


def test_what_an_undo_left_in_force_is_still_reported(play: Callable[..., None]) -> None:
    """The register shows it by the newest probe, until nothing of it is left."""

    async def story(bench: Bench) -> None:
        record = await sent(bench)
        bench.email.send_receipts(receipt(bench, record))
        await bench.settle()
        undo = await bench.undo(record.name)
        await bench.settle()
        half = receipt(bench, await bench.action(undo.name), PARTLY)
        half.outcome.items.CopyFrom(outcome_pb2.ItemCounts(total_items=2, done_items=1, conflict_items=1))
        bench.email.send_receipts(half)
        await bench.settle(60)
        for effect in (PARTLY, NOT):
            at = bench.clock.now()
            told = effect_report_pb2.EffectReport(
                id=bench.uuid(), action=record.name, event=DRIFTED, effect=effect, time=stamp(at)
            )
            bench.email.send_effect(told)
            await bench.settle(60)
            assert [(one.state, one.probe_time) for one in await bench.store.select(EFFECTS)] == (
                [(PARTLY, at)] if effect == PARTLY else []
            )

    play(story)


def test_items_are_kept_before_their_receipt_and_held_against_it(play: Callable[..., None]) -> None:
    """Chunks that are not those of the receipt are said to be so; the receipt counts all the same."""

    async def story(bench: Bench) -> None:
        record = await sent(bench)
        outcomes = item_pb2.ItemOutcomes(
            outcomes=[
                item_pb2.ItemOutcome(
                    item=item_pb2.Item(url=item_pb2.UrlItem(pattern="p")), state=item_pb2.ITEM_STATE_DONE
                )
            ]
        )
        chunk = executor_service_pb2.ItemChunk(
            id=bench.uuid(), action=record.name, index=0, body=outcomes.SerializeToString()
        )
        bench.email.say(executor_service_pb2.WorkResponse(items=executor_service_pb2.ItemChunks(chunks=[chunk])))
        told = receipt(bench, record)
        told.item_chunks, told.item_digest = 1, bytes(32)
        bench.email.send_receipts(told)
        await bench.settle()
        assert len(await bench.store.select(ITEM_CHUNKS)) == 1
        assert chunk.id in bench.email.stored
        assert await bench.states() == ["SUCCEEDED"]
        (entry,) = [one for one in await bench.events(record.name) if one.event == "action_found_in_force"]
        assert b"not those that the receipt is about" in entry.payload

    play(story)


def test_one_that_a_newer_came_before_shares_its_fate(play: Callable[..., None]) -> None:
    """SUPERSEDED, by whom, and counted as that one ends."""

    async def story(bench: Bench) -> None:
        older, newer = await sent(bench), await sent(bench)
        told = receipt(bench, older)
        told.ClearField("outcome")
        told.disposition = receipt_pb2.DISPOSITION_SUPERSEDED
        told.superseded_by = newer.name
        bench.email.send_receipts(told)
        await bench.settle()
        after = await bench.action(older.name)
        assert (after.fate, after.action.superseded_by) == ("running", newer.name)
        bench.email.send_receipts(receipt(bench, newer))
        await bench.settle()
        assert (await bench.action(older.name)).fate == "remediated"

    play(story)
