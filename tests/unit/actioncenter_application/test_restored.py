"""A centre that was restored from an older copy learns from executors what it no longer knows."""

import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

from quell.actioncenter.v1 import action_pb2
from quell.remediation.v1 import outcome_pb2
from quell.warrant.v1 import effect_report_pb2, receipt_pb2, warrant_pb2

from center_bench import Bench, block, running
from quell_actioncenter.store.tables import EFFECTS
from quell_runtime.seams import stamp
from virtual_time import in_virtual_time

GONE = outcome_pb2.EFFECT_STATE_NOT_IN_FORCE
Story = Callable[[Bench, str, receipt_pb2.Receipt], Coroutine[Any, Any, None]]


def silent(_warrant: warrant_pb2.Warrant) -> receipt_pb2.Receipt | None:
    """Answer nothing."""
    return None


def copied(source: Path, target: Path) -> None:
    """Take a copy of a store that is in use."""
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


def restored(folder: Path, story: Story, *, acknowledged: bool) -> None:
    """Have a URL blocked, take a copy, have it unblocked, and tell the story of the centre over the copy.

    `acknowledged`: the copy knows the receipt of the block, else only that it was sent.
    """

    async def whole() -> None:
        async with running(folder / "db") as bench:
            if not acknowledged:
                bench.email.answer = silent
            action = await bench.create(block())
            await bench.approve(action)
            await bench.settle()
            (warrant,) = bench.email.warrants
            receipt = bench.email.carried_out(warrant)
            if acknowledged:
                receipt.id = (await bench.action(action.name)).receipts[0]
            receipt.warrant_digest = (await bench.action(action.name)).warrant_digest
            copied(folder / "db", folder / "copy")
            if not acknowledged:
                bench.email.send_receipts(receipt)
                await bench.settle()
            bench.email.answer = bench.email.carried_out
            await bench.undo(action.name)
            await bench.settle()
            assert await bench.store.select(EFFECTS) == []
        async with running(folder / "copy") as bench:
            bench.email.answer = silent
            await bench.settle(1)
            await story(bench, action.name, receipt)

    in_virtual_time(whole)


def probed(bench: Bench, action: str) -> effect_report_pb2.EffectReport:
    """Return what an executor says after connecting of what was let go."""
    return effect_report_pb2.EffectReport(
        id=bench.uuid(),
        action=action,
        event=effect_report_pb2.EFFECT_EVENT_PROBED,
        effect=GONE,
        time=stamp(bench.clock.now()),
    )


def test_what_was_taken_back_after_the_copy_leaves_the_register(tmp_path: Path) -> None:
    """It stands there until the executor says otherwise; the action stays as it ended, and its history tells."""

    async def story(bench: Bench, action: str, receipt: receipt_pb2.Receipt) -> None:
        (effect,) = await bench.store.select(EFFECTS)
        assert effect.action == action
        bench.email.send_effect(probed(bench, action))
        await bench.settle()
        assert await bench.store.select(EFFECTS) == []
        assert (await bench.action(action)).action.state == action_pb2.ACTION_STATE_SUCCEEDED
        assert (await bench.history(action))[-1] == "effect_reported"
        bench.email.send_receipts(receipt)
        await bench.settle()
        assert await bench.store.select(EFFECTS) == []

    restored(tmp_path, story, acknowledged=True)


def test_a_receipt_that_comes_again_does_not_bring_back_what_was_let_go(tmp_path: Path) -> None:
    """The copy sends the warrant again, and its receipt is older than what the executor has said since."""

    async def story(bench: Bench, action: str, receipt: receipt_pb2.Receipt) -> None:
        assert [warrant.action for warrant in bench.email.warrants] == [action]
        bench.email.send_effect(probed(bench, action))
        await bench.settle()
        bench.email.send_receipts(receipt)
        await bench.settle()
        assert (await bench.action(action)).action.state == action_pb2.ACTION_STATE_SUCCEEDED
        assert await bench.store.select(EFFECTS) == []

    restored(tmp_path, story, acknowledged=False)


def test_without_such_a_report_the_receipt_counts(tmp_path: Path) -> None:
    """The control: what nobody says is gone stands in the register."""

    async def story(bench: Bench, action: str, receipt: receipt_pb2.Receipt) -> None:
        bench.email.send_receipts(receipt)
        await bench.settle()
        (effect,) = await bench.store.select(EFFECTS)
        assert effect.action == action

    restored(tmp_path, story, acknowledged=False)


def test_the_undo_that_the_copy_never_knew_is_kept_as_an_orphan(tmp_path: Path) -> None:
    """Its receipt, come again, is shown in the log, and changes nothing."""

    async def story(bench: Bench, action: str, receipt: receipt_pb2.Receipt) -> None:
        undo = receipt_pb2.Receipt()
        undo.CopyFrom(receipt)
        undo.id, undo.action = bench.uuid(), f"actions/{bench.uuid()}"
        bench.email.send_receipts(undo)
        await bench.settle()
        assert [entry.event for entry in await bench.events(undo.action)] == ["receipt_orphaned"]
        assert undo.id in bench.email.stored
        assert [effect.action for effect in await bench.store.select(EFFECTS)] == [action]

    restored(tmp_path, story, acknowledged=True)
