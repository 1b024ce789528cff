"""From evidence to an effect in force, and back by undo, with every step in the history."""

from pathlib import Path

from quell.actioncenter.v1 import investigation_pb2

from center_bench import Bench, running, url
from quell_actioncenter.domain.records import InvestigationRecord
from quell_actioncenter.store.tables import EFFECTS, INVESTIGATIONS, OUTBOX
from virtual_time import in_virtual_time


async def only_investigation(bench: Bench) -> InvestigationRecord:
    """Return the one there is."""
    (found,) = await bench.store.select(INVESTIGATIONS)
    return found


def test_a_url_is_approved_blocked_and_unblocked(tmp_path: Path) -> None:
    """The investigation completes, the effect stands in the register, and undo removes it and shows who did."""

    async def story() -> None:
        async with running(tmp_path / "db") as bench:
            shown = await bench.submit(url())
            assert shown.state == investigation_pb2.INVESTIGATION_STATE_PENDING_APPROVAL
            (pending,) = await bench.actions()
            assert await bench.states() == ["PENDING_APPROVAL"]
            approved = await bench.approve(pending.action)
            assert approved.sequence > 0
            await bench.settle()
            assert await bench.states() == ["SUCCEEDED"]
            assert await bench.history(pending.name) == ["asked", "approved", "claimed", "found_in_force"]
            assert (await only_investigation(bench)).state == investigation_pb2.INVESTIGATION_STATE_REMEDIATED
            (effect,) = await bench.store.select(EFFECTS)
            assert effect.action == pending.name
            assert not await bench.store.select(OUTBOX)
            assert len(bench.email.stored) == 1

            undo = await bench.undo(pending.name)
            await bench.settle()
            assert await bench.states() == ["SUCCEEDED", "SUCCEEDED"]
            done = await bench.action(pending.name)
            assert done.action.undone_by == undo.name
            assert not await bench.store.select(EFFECTS)
            assert bench.email.warrants[1].undo_of == pending.name
            assert bench.email.warrants[1].sequence > bench.email.warrants[0].sequence
            after = await only_investigation(bench)
            assert (after.state, after.undone) == (investigation_pb2.INVESTIGATION_STATE_REMEDIATED, 1)
            assert await bench.history(pending.name) == [
                "asked",
                "approved",
                "claimed",
                "found_in_force",
                "undo_asked",
                "undone",
            ]

    in_virtual_time(story)
