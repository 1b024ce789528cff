"""Effects on one thing happen in the order of their sequence numbers, or not at all."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from quell.remediation.v1 import item_pb2, outcome_pb2, remediation_pb2
from quell.warrant.v1 import receipt_pb2

from kit_house import House
from kit_world import content, give_back, quarantine

SUPERSEDED = receipt_pb2.DISPOSITION_SUPERSEDED


async def test_a_lower_sequence_never_begins_after_a_higher(house: House) -> None:
    """The older comes late: SUPERSEDED by the newer, and nothing of it is done."""
    house.world.files = {"/a": content("bad")}
    older = house.center.warrant(quarantine("/a"))
    newer = house.center.warrant(quarantine(name="bad"))
    house.send(newer)
    await house.receipt(newer)
    house.send(older)
    receipt = await house.receipt(older)
    assert (receipt.disposition, receipt.superseded_by) == (SUPERSEDED, newer.action)
    assert not receipt.HasField("outcome")


async def test_a_late_order_is_stopped_by_what_a_newer_one_named(house: House) -> None:
    """The release found nothing, but named the content: the quarantine that was before it must not come after it."""
    house.world.files = {"/a": content("bad")}
    older = house.center.warrant(quarantine("/a"))
    released = await house.carry_out(give_back("bad"))
    assert released.outcome.effect == outcome_pb2.EFFECT_STATE_TARGET_GONE
    house.send(older)
    assert (await house.receipt(older)).disposition == SUPERSEDED
    assert house.world.files == {"/a": content("bad")}


async def test_an_order_that_finds_nothing_where_a_newer_one_was_is_superseded(house: House) -> None:
    """It named what the newer one named."""
    older = house.center.warrant(give_back("bad"))
    await house.carry_out(quarantine(name="bad"))
    house.send(older)
    assert (await house.receipt(older)).disposition == SUPERSEDED


async def test_superseded_items_are_counted_and_the_effect_is_over_the_others(house: House) -> None:
    """A newer order took one of two: the older does the other, and is in force over that."""
    house.world.files = {"/a": content("bad"), "/b": content("bad")}
    older = house.center.warrant(quarantine(name="bad"))
    await house.carry_out(quarantine("/a"))
    house.send(older)
    receipt = await house.receipt(older)
    assert (receipt.outcome.items.done_items, receipt.outcome.items.superseded_items) == (1, 1)
    assert receipt.outcome.effect == outcome_pb2.EFFECT_STATE_IN_FORCE


async def test_a_newer_order_waits_for_the_older_and_plans_anew(house: House) -> None:
    """What the older changed meanwhile is not changed again, and the pre-image is the older's."""
    house.world.files = {"/a": content("bad")}
    house.world.gate.clear()
    older, newer = house.center.warrant(quarantine("/a")), house.center.warrant(quarantine(name="bad"))
    house.send(older)
    await house.until(lambda: "kit.planned" in house.points)
    house.send(newer)
    await house.until(lambda: newer.action in house.center.accepted)
    await house.quiet()
    house.world.gate.set()
    receipt = await house.receipt(newer)
    assert receipt.outcome.effect == outcome_pb2.EFFECT_STATE_ALREADY_IN_FORCE
    assert list(receipt.takes_over) == [older.action]
    assert house.world.changes == ["take /a"]


async def test_what_takes_the_older_back_stops_it(house: House) -> None:
    """An undo and a release of what is being done do not wait until all of it is done."""
    for back in ("undo", "release"):
        house.world.files = {"/a": content("bad"), "/b": content("bad")}
        house.world.changes.clear()
        house.world.gate.set()

        def after_the_first(change: str) -> None:
            if change == "take /a":
                house.world.gate.clear()

        house.world.before_each = after_the_first
        older = house.center.warrant(quarantine(name="bad"))
        house.send(older)
        await house.until(lambda: house.world.changes)
        house.world.before_each = lambda _change: None
        newer = house.center.warrant(give_back("bad"))
        if back == "undo":
            newer = house.center.warrant(quarantine(name="bad"), undo_of=older.action)
        house.send(newer)
        stopped = await house.receipt(older)
        house.world.gate.set()
        assert (stopped.disposition, stopped.superseded_by) == (receipt_pb2.DISPOSITION_STOPPED, newer.action)
        assert (await house.receipt(newer)).outcome.effect == outcome_pb2.EFFECT_STATE_IN_FORCE
        assert house.world.changes == ["take /a", "back /a"]


async def test_isolate_isolate_release_release_ends_released(house: House) -> None:
    """Whatever the order of arrival."""
    orders = [quarantine("/a"), quarantine(name="bad"), give_back("bad"), give_back("bad")]
    for arrival in ([3, 0, 1, 2], [1, 3, 0, 2], [2, 1, 0, 3], [0, 1, 2, 3]):
        house.world.files = {"/a": content("bad")}
        warrants = [house.center.warrant(order) for order in orders]
        for number in arrival:
            house.send(warrants[number])
        for warrant in warrants:
            await house.receipt(warrant)
        assert (house.world.files, house.world.vault) == ({"/a": content("bad")}, {})


NAMES = ("bad", "ugly")
FILES = {"/a": content("bad"), "/b": content("bad"), "/c": content("ugly")}
ORDERS = st.one_of(
    st.sampled_from([*FILES]).map(quarantine),
    st.sampled_from(NAMES).map(lambda name: quarantine(name=name)),
    st.sampled_from([("/a", "bad"), ("/c", "ugly")]).map(lambda both: quarantine(*both)),
    st.sampled_from(NAMES).map(give_back),
)


async def _ends(
    folder: Path, orders: list[remediation_pb2.Remediation], arrival: list[int], *, at_once: bool
) -> object:
    house = House(folder)
    house.world.files = dict(FILES)
    await house.move_in()
    await house.connect()
    warrants = [house.center.warrant(order) for order in orders]
    for number in arrival:
        house.send(warrants[number])
        if not at_once:
            await house.receipt(warrants[number])
    for warrant in warrants:
        await house.receipt(warrant)
    await house.crash()
    return house.world.files, sorted(house.world.vault)


@settings(max_examples=40, deadline=None)
@given(orders=st.lists(ORDERS, min_size=2, max_size=5), data=st.data(), at_once=st.booleans())
def test_the_same_thing_by_other_names_ends_as_if_done_in_order(
    orders: list[remediation_pb2.Remediation],
    data: st.DataObject,
    at_once: bool,  # noqa: FBT001 - drawn
) -> None:
    """Path against content against both: any arrival ends as one by one in sequence order."""
    arrival = data.draw(st.permutations(range(len(orders))))
    with TemporaryDirectory() as first, TemporaryDirectory() as second:
        in_order = asyncio.run(_ends(Path(first), orders, list(range(len(orders))), at_once=False))
        assert asyncio.run(_ends(Path(second), orders, arrival, at_once=at_once)) == in_order


async def test_a_row_ends_with_its_release(house: House) -> None:
    """After a release a new order replaces what is there then, not what was there before the first."""
    house.world.files = {"/a": content("bad")}
    await house.carry_out(quarantine("/a"))
    await house.carry_out(give_back("bad"))
    again = await house.carry_out(quarantine("/a"))
    assert list(again.takes_over) == []
    assert again.outcome.effect == outcome_pb2.EFFECT_STATE_IN_FORCE
    await house.carry_out(quarantine("/a"), undo_of=again.action)
    assert house.world.files == {"/a": content("bad")}


async def test_items_of_both_are_fenced_under_each_name(house: House) -> None:
    """An item is checked by its path, though the older order told it by its content."""
    house.world.files = {"/a": content("bad"), "/b": content("bad")}
    older = house.center.warrant(quarantine(name="bad"))
    newer = await house.carry_out(quarantine("/a"))
    await house.carry_out(quarantine("/a"), undo_of=newer.action)
    house.send(older)
    receipt = await house.receipt(older)
    states = [outcome.state for outcome in house.center.items(older.action)]
    assert states == [item_pb2.ITEM_STATE_SUPERSEDED, item_pb2.ITEM_STATE_DONE]
    assert receipt.outcome.items.superseded_items == 1
