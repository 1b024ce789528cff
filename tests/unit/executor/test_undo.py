"""Undo and release put back exactly what a plan recorded, item by item, or say conflict and change nothing."""

from quell.remediation.v1 import item_pb2, outcome_pb2
from quell.warrant.v1 import receipt_pb2

from kit_house import House
from kit_world import content, give_back, quarantine

UNKNOWN_ACTION = "actions/00000000-0000-4000-8000-00000000abcd"
BAD = content("bad")


async def test_undo_puts_everything_back_and_is_not_undone_itself(house: House) -> None:
    """The world is as before; the undo says that it can't be undone."""
    house.world.files = {"/a": BAD, "/b": BAD}
    done = await house.carry_out(quarantine(name="bad"))
    undone = await house.carry_out(quarantine(name="bad"), undo_of=done.action)
    assert (house.world.files, house.world.vault) == ({"/a": BAD, "/b": BAD}, {})
    assert undone.outcome.effect == outcome_pb2.EFFECT_STATE_IN_FORCE
    assert undone.outcome.undo == outcome_pb2.UNDO_STATE_IMPOSSIBLE
    assert list(undone.takes_over) == []


async def test_an_item_that_others_changed_is_a_conflict_and_the_rest_comes_back(house: House) -> None:
    """All or nothing holds per item; the conflict says what differs; the item can be taken back later."""
    house.world.files = {"/a": BAD, "/b": BAD}
    done = await house.carry_out(quarantine(name="bad"))
    house.world.files["/a"] = content("mine")
    undone = await house.carry_out(quarantine(name="bad"), undo_of=done.action)
    assert undone.outcome.effect == outcome_pb2.EFFECT_STATE_PARTLY_IN_FORCE
    assert (undone.outcome.items.done_items, undone.outcome.items.conflict_items) == (1, 1)
    assert undone.failure.reason == "PATH_TAKEN"
    assert house.world.files == {"/a": content("mine"), "/b": BAD}
    del house.world.files["/a"]
    again = await house.carry_out(quarantine(name="bad"), undo_of=done.action)
    assert again.outcome.effect == outcome_pb2.EFFECT_STATE_IN_FORCE
    assert house.world.files == {"/a": BAD, "/b": BAD}


async def test_undo_of_the_owner_returns_to_before_the_first_of_its_row(house: House) -> None:
    """The second found it done and took over; its undo brings back what the first replaced, marked by the first."""
    house.world.files = {"/a": BAD}
    await house.carry_out(quarantine("/a"))
    second = await house.carry_out(quarantine(name="bad"))
    undone = await house.carry_out(quarantine(name="bad"), undo_of=second.action)
    assert undone.outcome.effect == outcome_pb2.EFFECT_STATE_IN_FORCE
    assert house.world.files == {"/a": BAD}


async def test_undo_keeps_what_a_newer_action_owns(house: House) -> None:
    """Per item: what is the newest's stays, is counted as kept, and says whose it is."""
    house.world.files = {"/a": BAD, "/b": BAD}
    first = await house.carry_out(quarantine(name="bad"))
    second = await house.carry_out(quarantine("/a"))
    assert list(second.takes_over) == [], "the first still owns /b"
    undone = await house.carry_out(quarantine(name="bad"), undo_of=first.action)
    assert (undone.outcome.items.done_items, undone.outcome.items.kept_items) == (1, 1)
    assert undone.outcome.effect == outcome_pb2.EFFECT_STATE_PARTLY_IN_FORCE
    kept = [outcome for outcome in house.center.items(undone.action) if outcome.state == item_pb2.ITEM_STATE_KEPT]
    assert second.action in kept[0].failure.message
    assert house.world.files == {"/b": BAD}


async def test_undo_of_an_older_one_alone_changes_nothing(house: House) -> None:
    """All of it is a newer action's by now."""
    house.world.files = {"/a": BAD}
    first = await house.carry_out(quarantine("/a"))
    await house.carry_out(quarantine("/a"))
    undone = await house.carry_out(quarantine("/a"), undo_of=first.action)
    assert undone.outcome.effect == outcome_pb2.EFFECT_STATE_NOT_IN_FORCE
    assert undone.failure.reason == "NOT_THE_NEWEST"
    assert house.world.files == {}


async def test_a_release_takes_back_what_it_chooses_and_names_whose_it_was(house: House) -> None:
    """By content, over two actions; each of them answers for nothing afterwards."""
    house.world.files = {"/a": BAD, "/b": BAD, "/c": content("ugly")}
    taken = [await house.carry_out(quarantine(path)) for path in ("/a", "/b", "/c")]
    released = await house.carry_out(give_back("bad"))
    assert sorted(released.takes_over) == sorted(receipt.action for receipt in taken[:2])
    assert released.outcome.undo == outcome_pb2.UNDO_STATE_IMPOSSIBLE
    assert house.world.files == {"/a": BAD, "/b": BAD}


async def test_a_release_by_action_takes_back_what_that_action_took(house: House) -> None:
    """And nothing else; of an older one that was taken over it keeps all."""
    house.world.files = {"/a": BAD, "/b": BAD}
    first, second = [await house.carry_out(quarantine(path)) for path in ("/a", "/b")]
    await house.carry_out(give_back(action=second.action))
    assert house.world.files == {"/b": BAD}
    await house.carry_out(quarantine("/a"))
    kept = await house.carry_out(give_back(action=first.action))
    assert kept.outcome.items.kept_items == 1
    assert house.world.files == {"/b": BAD}


async def test_undo_or_release_of_an_unknown_action_is_journal_lost_and_calls_it_off(house: House) -> None:
    """When the warrant comes after its undo, it is SUPERSEDED, never begun."""
    house.world.files = {"/a": BAD}
    for kind in ("undo", "release"):
        late = house.center.warrant(quarantine("/a"))
        back = house.center.warrant(give_back(action=late.action))
        if kind == "undo":
            back = house.center.warrant(quarantine("/a"), undo_of=late.action)
        house.send(back)
        refused = await house.receipt(back)
        assert (refused.disposition, refused.failure.reason) == (receipt_pb2.DISPOSITION_REFUSED, "JOURNAL_LOST")
        house.send(late)
        superseded = await house.receipt(late)
        assert superseded.disposition == receipt_pb2.DISPOSITION_SUPERSEDED
        assert superseded.superseded_by == back.action
    assert house.world.changes == []


async def test_an_undo_calls_off_what_waits(house: House) -> None:
    """Frozen, the older waits; its undo comes: the older is never begun, and the undo finds nothing to take back."""
    house.world.files = {"/a": BAD}
    await house.freeze(1)
    older = house.center.warrant(quarantine("/a"))
    house.send(older)
    await house.until(lambda: older.action in house.center.accepted)
    undone = await house.carry_out(quarantine("/a"), undo_of=older.action)
    assert undone.outcome.effect == outcome_pb2.EFFECT_STATE_TARGET_GONE
    await house.freeze(2, frozen=False)
    assert (await house.receipt(older)).disposition == receipt_pb2.DISPOSITION_SUPERSEDED
    assert house.world.changes == []


async def test_what_a_failed_action_has_changed_can_be_undone(house: House) -> None:
    """An effect that breaks half-way owns what it has changed."""
    house.world.files = {"/a": BAD, "/b": BAD}

    def breaks(change: str) -> None:
        if change == "take /b":
            raise OSError("no")

    house.world.before_each = breaks
    failed = await house.carry_out(quarantine(name="bad"))
    assert failed.outcome.effect == outcome_pb2.EFFECT_STATE_PARTLY_IN_FORCE
    assert (failed.failure.reason, failed.outcome.undo) == ("EFFECT_FAILED", outcome_pb2.UNDO_STATE_POSSIBLE)
    await house.carry_out(quarantine(name="bad"), undo_of=failed.action)
    assert house.world.files == {"/a": BAD, "/b": BAD}
