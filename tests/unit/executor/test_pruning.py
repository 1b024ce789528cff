"""What is over is forgotten in time; what may still count never is."""

from datetime import timedelta
from typing import Any

import pytest
import structlog
from quell.executor.v1 import executor_service_pb2
from quell.remediation.v1 import outcome_pb2
from quell.warrant.v1 import receipt_pb2, warrant_pb2

from kit_house import House, stored
from kit_world import content, give_back, quarantine
from quell_executor import pruning
from quell_executor.journal.records import CALLED_OFF, FENCES, ORDERS, OUTGOING, PLANS
from quell_runtime.store import Table

GONE: tuple[Table[Any], ...] = (ORDERS, PLANS, OUTGOING, CALLED_OFF)
BAD = content("bad")


@pytest.fixture
async def over(house: House) -> list[warrant_pb2.Warrant]:
    """Return a quarantine and its release, both at their end and acknowledged."""
    house.world.files = {"/a": BAD}
    warrants = [house.center.warrant(quarantine("/a")), house.center.warrant(give_back("bad"))]
    for warrant in warrants:
        house.send(warrant)
        await house.receipt(warrant)
    await acknowledge(house)
    return warrants


async def acknowledge(house: House) -> None:
    """Have the centre say that it has everything."""
    house.say(stored=stored([row.id for row in await house.store.select(OUTGOING)]))
    await house.quiet()


async def pass_on(house: House) -> None:
    """Let the time to keep pass, and the centre acknowledge something."""
    house.clock.advance(house.settings.keep + timedelta(days=1))
    house.say(stored=stored([]))
    await house.quiet(1000)


async def known(house: House) -> list[str]:
    """Return the actions that the journal knows."""
    return [order.action for order in await house.store.select(ORDERS, "ORDER BY sequence")]


async def test_what_is_over_goes_whole_but_for_its_fences(house: House, over: list[warrant_pb2.Warrant]) -> None:
    """Warrants, plans, receipts and items go; who comes late is too late, and the fences stand."""
    fences = await house.store.select(FENCES)
    assert fences
    await pass_on(house)
    assert [await house.store.select(table) for table in GONE] == [[], [], [], []]
    assert await house.store.select(FENCES) == fences
    house.center.receipts.clear()
    house.send(over[0])
    assert (await house.receipt(over[0])).disposition == receipt_pb2.DISPOSITION_EXPIRED
    assert house.world.files == {"/a": BAD}


async def test_it_stays_for_its_time(house: House, over: list[warrant_pb2.Warrant]) -> None:
    """Control: until then the same warrant has the same receipt."""
    house.clock.advance(house.settings.keep - timedelta(hours=1))
    house.say(stored=stored([]))
    await house.quiet(1000)
    assert await known(house) == [warrant.action for warrant in over]


async def test_what_is_in_force_stays(house: House) -> None:
    """It can be undone after years."""
    house.world.files = {"/a": BAD}
    done = await house.carry_out(quarantine("/a"))
    await acknowledge(house)
    await pass_on(house)
    assert await known(house) == [done.action]
    await house.carry_out(quarantine("/a"), undo_of=done.action)
    assert house.world.files == {"/a": BAD}


async def test_what_was_let_go_of_late_stays_from_then(house: House) -> None:
    """A centre restored from an older copy asks for it: it is told that nothing is left, and knows it taken back."""
    house.world.files = {"/a": BAD}
    done = await house.carry_out(quarantine("/a"))
    await acknowledge(house)
    await pass_on(house)
    await house.carry_out(quarantine("/a"), undo_of=done.action)
    await acknowledge(house)
    house.clock.advance(timedelta(hours=2))
    house.say(stored=stored([]))
    await house.quiet(1000)
    again = await house.carry_out(quarantine("/a"), undo_of=done.action)
    assert again.outcome.effect == outcome_pb2.EFFECT_STATE_TARGET_GONE
    await acknowledge(house)
    await pass_on(house)
    assert await known(house) == []


async def test_what_was_not_acknowledged_stays(house: House) -> None:
    """A receipt may not be lost."""
    house.world.files = {"/a": BAD}
    taken = await house.carry_out(quarantine("/a"))
    back = await house.carry_out(give_back("bad"))
    house.say(stored=stored([taken.id]))
    await house.quiet()
    await pass_on(house)
    assert back.action in await known(house)


async def test_refusals_go_too(house: House) -> None:
    """A body that was refused has no warrant here, only its receipt."""
    strange = house.center.warrant(quarantine("/a"), deployment="another")
    house.send(strange)
    await house.receipt(strange)
    await acknowledge(house)
    assert await house.store.select(OUTGOING)
    await pass_on(house)
    assert await house.store.select(OUTGOING) == []


async def test_many_go_in_small_commits(house: House) -> None:
    """More than go at once are forgotten nevertheless."""
    house.world.files = {"/a": BAD}
    for _ in range(pruning.MOST // 2 + 1):
        await house.carry_out(quarantine("/a"))
        await house.carry_out(give_back("bad"))
    await acknowledge(house)
    assert len(await known(house)) > pruning.MOST
    await pass_on(house)
    assert await known(house) == []


async def test_who_waited_for_a_thaw_finds_itself_forgotten(house: House) -> None:
    """Canceled while it was frozen, acknowledged and forgotten: going on then changes nothing, and is no fault."""
    house.world.files = {"/a": BAD}
    await house.freeze(1, "stop_and_quarantine")
    warrant = house.center.warrant(quarantine("/a"), expires=3 * house.settings.keep)
    house.send(warrant)
    await house.quiet()
    house.say(cancels=executor_service_pb2.Cancels(actions=[warrant.action]))
    assert (await house.receipt(warrant)).disposition == receipt_pb2.DISPOSITION_CANCELED
    await acknowledge(house)
    await house.store.change(lambda view: view.drop(ORDERS, warrant.action))
    with structlog.testing.capture_logs() as logged:
        await house.freeze(2, frozen=False)
        await house.quiet(1000)
    assert [line for line in logged if line["log_level"] == "error"] == []
    assert house.world.files == {"/a": BAD}
