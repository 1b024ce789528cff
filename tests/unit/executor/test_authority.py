"""Only sealed words raise what an executor knows, and only to something newer."""

from datetime import timedelta

import pytest
from quell.remediation.v1 import outcome_pb2
from quell.warrant.v1 import freeze_pb2, key_set_pb2

from kit_house import CENTER, DEPLOYMENT, ROOT, START, House, key_set
from kit_world import content, give_back, quarantine, scan
from quell_runtime.sealing import SealInvalidError, SealKey
from quell_runtime.seams import stamp

BAD = content("bad")
FROZEN = "quell.warrant.v1.Freeze"


async def test_key_sets_only_rise_and_outlive_a_restart(house: House) -> None:
    """A lower version, another deployment's, or one by another key changes nothing."""
    await house.executor.learn(key_set(3))
    await house.executor.learn(key_set(2, revoked=True))
    other = key_set_pb2.KeySet(deployment="other", version=9)
    for wrong in (
        SealKey(b"x" * 32).seal("quell.warrant.v1.KeySet", [key_set(9).body])[0],
        ROOT.seal("quell.warrant.v1.KeySet", [other.SerializeToString()])[0],
    ):
        with pytest.raises(SealInvalidError):
            await house.executor.learn(wrong)
    await house.crash()
    await house.move_in()
    assert house.executor.key_set == key_set_pb2.KeySet.FromString(key_set(3).body)


async def test_a_wrong_key_set_on_the_wire_ends_no_conversation(house: House) -> None:
    """It is left out, and what comes after it counts."""
    house.world.files = {"/a": BAD}
    house.say(key_set=SealKey(b"x" * 32).seal("quell.warrant.v1.KeySet", [key_set(9).body])[0])
    await house.carry_out(quarantine("/a"))
    assert house.world.files == {}


async def test_while_frozen_nothing_begins_but_what_lets_go_and_what_reads(house: House) -> None:
    """What waits goes on when it is lifted; the freeze outlives a restart."""
    house.world.files = {"/a": BAD, "/b": BAD}
    first = await house.carry_out(quarantine("/a"))
    await house.freeze(1)
    waits = house.center.warrant(quarantine("/b"))
    house.send(waits)
    assert (await house.carry_out(scan())).outcome.effect == outcome_pb2.EFFECT_STATE_IN_FORCE
    await house.again()
    undone = await house.carry_out(quarantine("/a"), undo_of=first.action)
    assert undone.outcome.effect == outcome_pb2.EFFECT_STATE_IN_FORCE
    assert house.world.changes == ["take /a", "back /a"]
    await house.freeze(2, frozen=False)
    await house.receipt(waits)
    assert house.world.changes[-1] == "take /b"


async def test_a_release_is_let_through(house: House) -> None:
    """Also while its inverse is frozen by name."""
    house.world.files = {"/a": BAD}
    await house.carry_out(quarantine("/a"))
    await house.freeze(1, "stop_and_quarantine", "release_from_quarantine")
    await house.carry_out(give_back("bad"))
    assert house.world.files == {"/a": BAD}


async def test_a_freeze_has_a_scope(house: House) -> None:
    """Other kinds go on."""
    house.world.files = {"/a": BAD}
    await house.freeze(1, "isolate_device")
    await house.carry_out(quarantine("/a"))
    assert house.world.files == {}


@pytest.mark.parametrize("wrong", ["lower", "root", "other", "early"])
async def test_a_freeze_that_is_not_newer_or_not_the_centres_changes_nothing(house: House, wrong: str) -> None:
    """The highest epoch is the whole state."""
    house.world.files = {"/a": BAD}
    await house.freeze(5, frozen=False)
    said = freeze_pb2.Freeze(
        deployment="other" if wrong == "other" else DEPLOYMENT,
        epoch=4 if wrong == "lower" else 6,
        frozen=True,
        issue_time=stamp(START - timedelta(days=9 if wrong == "early" else 0)),
    )
    house.say(freeze=(ROOT if wrong == "root" else CENTER).seal(FROZEN, [said.SerializeToString()])[0])
    await house.carry_out(quarantine("/a"))
    assert house.world.files == {}
