"""From evidence to an effect in force, and back by undo, with every step in the history."""

from collections.abc import Callable

from quell.actioncenter.v1 import investigation_pb2

from center_bench import Bench, url
from quell_actioncenter.domain.records import InvestigationRecord
from quell_actioncenter.store.tables import EFFECTS, INVESTIGATIONS, OUTBOX


async def only_investigation(bench: Bench) -> InvestigationRecord:
    """Return the one there is."""
    (found,) = await bench.store.select(INVESTIGATIONS)
    return found


def test_a_url_is_approved_blocked_and_unblocked(play: Callable[..., None]) -> None:
    """The investigation completes, the effect stands in the register, and undo removes it and shows who did."""

    async def story(bench: Bench) -> None:
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
        assert (done.kind, (await bench.action(undo.name)).kind) == ("block_url", "unblock_url")
        assert not await bench.store.select(EFFECTS)
        assert bench.email.warrants[1].undo_of == pending.name
        assert bench.email.warrants[1].sequence > bench.email.warrants[0].sequence
        after = await only_investigation(bench)
        assert (after.state, after.undone) == (investigation_pb2.INVESTIGATION_STATE_REMEDIATED, 1)
        assert (await bench.history(pending.name))[-2:] == ["undo_asked", "undone"]

    play(story)


def test_every_change_of_state_has_its_event_in_order(play: Callable[..., None]) -> None:
    """The states that the history tells are those that the action went through, and the log is chained."""

    async def story(bench: Bench) -> None:
        await bench.submit(url(1), url(2))
        for record in await bench.actions():
            await bench.approve(record.action)
        await bench.settle()
        for record in await bench.actions():
            history = await bench.events(record.name)
            assert [entry.number for entry in history] == sorted(entry.number for entry in history)
            assert record.last_event == history[-1].number
            assert record.events == len(history)

    play(story)
