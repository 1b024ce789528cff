"""Through the kit: done, needed no more, undone, and released by hand after the journal is lost."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from quell.remediation.v1 import email_pb2, item_pb2, outcome_pb2, remediation_pb2

from forwarding_desk import ANN, MINE, ORDER
from home_tree import HomeTree
from kit_house import House
from quell_email.effects.restore_external_forwarding import RestoreExternalForwarding
from quell_email.effects.turn_off_external_forwarding import TurnOffExternalForwarding

OFF = remediation_pb2.Remediation(turn_off_external_forwarding=ORDER)


@pytest.fixture
async def house(effect: TurnOffExternalForwarding, tmp_path: Path) -> AsyncIterator[House]:
    """Return the kit over a home."""
    found = House(tmp_path)
    found.more = {
        "turn_off_external_forwarding": effect,
        "restore_external_forwarding": RestoreExternalForwarding(),
    }
    await found.move_in()
    await found.connect()
    yield found
    await found.crash()


def released(action: str) -> remediation_pb2.Remediation:
    """Order it given back by hand."""
    order = email_pb2.RestoreExternalForwarding(action=action)
    return remediation_pb2.Remediation(restore_external_forwarding=order)


async def test_a_second_order_needs_nothing_and_its_undo_gives_all_back(house: House, tree: HomeTree) -> None:
    """The newest owns: its undo returns to how it was before the first."""
    before = tree.photograph(ANN)
    first = await house.carry_out(OFF)
    assert first.outcome.effect == outcome_pb2.EFFECT_STATE_IN_FORCE
    second = await house.carry_out(OFF)
    assert second.outcome.effect == outcome_pb2.EFFECT_STATE_ALREADY_IN_FORCE
    undone = await house.carry_out(OFF, undo_of=second.action)
    assert undone.outcome.effect == outcome_pb2.EFFECT_STATE_IN_FORCE
    assert tree.photograph(ANN) == before


async def test_what_its_user_changed_is_left_and_the_rest_is_given_back(house: House, tree: HomeTree) -> None:
    """Each script by itself."""
    off = await house.carry_out(OFF)
    mine = tree.home(ANN) / "sieve/mine.sieve"
    mine.write_bytes(b"keep;\n")
    undone = await house.carry_out(OFF, undo_of=off.action)
    assert undone.outcome.effect == outcome_pb2.EFFECT_STATE_PARTLY_IN_FORCE
    states = {outcome.item.forwarding.place: outcome.state for outcome in house.center.items(undone.action)}
    assert states == {
        "sieve/mine.sieve": item_pb2.ITEM_STATE_CONFLICT,
        ".forward": item_pb2.ITEM_STATE_DONE,
        "sieve/old.sieve": item_pb2.ITEM_STATE_DONE,
    }
    assert mine.read_bytes() == b"keep;\n"


async def test_a_mailbox_that_sends_nothing_outside_needs_nothing(house: House, tree: HomeTree) -> None:
    """Nothing is left to act on."""
    for place in ("sieve/mine.sieve", "sieve/old.sieve", ".forward"):
        (tree.home(ANN) / place).unlink()
    assert (await house.carry_out(OFF)).outcome.effect == outcome_pb2.EFFECT_STATE_TARGET_GONE


async def test_it_is_given_back_by_hand_after_the_journal_is_lost(house: House, tree: HomeTree) -> None:
    """What is ours is reported before, by what we have kept."""
    before = tree.photograph(ANN)
    off = await house.carry_out(OFF)
    await house.crash()
    house.lose_journal()
    await house.move_in()
    await house.connect()
    await house.until(lambda: len([report for report in house.center.reports if report.HasField("inherited")]) == 3)
    assert (tree.home(ANN) / "sieve/mine.sieve").read_bytes() != MINE
    assert (await house.carry_out(released(off.action))).outcome.effect == outcome_pb2.EFFECT_STATE_IN_FORCE
    assert tree.photograph(ANN) == before
