"""The agent's journal is lost: what lies in the vaults is found, reported, and given back by hand, exactly."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from quell.remediation.v1 import device_pb2, item_pb2, outcome_pb2, remediation_pb2, target_pb2
from quell.warrant.v1 import receipt_pb2

from kit_house import House
from quarantine_world import World, digests, facts
from quell_agent.effects.release_from_quarantine import ReleaseFromQuarantine
from quell_runtime.sealing import SealKey, device_id

IN_FORCE = outcome_pb2.EFFECT_STATE_IN_FORCE
OWN = f"devices/{device_id(SealKey(b'i' * 32).key_id)}"


@pytest.fixture
async def house(world: World, tmp_path: Path) -> AsyncIterator[House]:
    """Return the kit over real files."""
    found = House(tmp_path)
    found.more = {"stop_and_quarantine": world.effect(), "release_from_quarantine": ReleaseFromQuarantine()}
    await found.move_in()
    await found.connect()
    yield found
    await found.crash()


def quarantine(path: Path, *, sha256: str = "") -> remediation_pb2.Remediation:
    """Order a file away; told by its content too, as marks do."""
    file = target_pb2.FileSelector(path=str(path), sha256=sha256)
    return remediation_pb2.Remediation(stop_and_quarantine=device_pb2.StopAndQuarantine(device=OWN, file=file))


async def take(house: House, path: Path) -> str:
    """Take a file; return the action."""
    done = await house.carry_out(quarantine(path))
    assert done.outcome.effect == IN_FORCE
    return done.action


async def lose(house: House, world: World, copy: bytes = b"") -> None:
    """Lose the journal, or have an older copy of it, and start again as a new process would."""
    await house.crash()
    house.lose_journal(copy)
    house.more["stop_and_quarantine"] = world.effect()
    house.center.reports.clear()
    await house.move_in()
    await house.connect()


def inherited(house: House) -> list[tuple[remediation_pb2.Remediation, int]]:
    """Return what was reported as inherited."""
    return [(report.inherited, report.effect) for report in house.center.reports if report.HasField("inherited")]


def release(action: str = "", sha256: str = "") -> remediation_pb2.Remediation:
    """Order it back."""
    order = device_pb2.ReleaseFromQuarantine(device=OWN)
    if action:
        order.action = action
    else:
        order.sha256 = sha256
    return remediation_pb2.Remediation(release_from_quarantine=order)


@pytest.mark.parametrize("how", ["action", "sha256"])
async def test_it_is_told_of_and_comes_back_exactly(house: House, world: World, how: str) -> None:
    """Two names of one file; each is reported with what would make it so, and one release brings both back."""
    evil = world.program("evil")
    other = world.box / "other"
    other.hardlink_to(evil)
    sha256, before = digests(evil).sha256, [facts(evil), facts(other)]
    action = (await house.carry_out(_by_content(sha256, world.box))).action
    assert not evil.exists()
    assert not other.exists()
    await lose(house, world)
    await house.until(lambda: len(inherited(house)) == 2)
    expected = [(quarantine(path, sha256=sha256), IN_FORCE) for path in (evil, other)]
    assert sorted(inherited(house), key=str) == sorted(expected, key=str)
    back = await house.carry_out(release(action if how == "action" else "", sha256))
    assert back.outcome.effect == IN_FORCE
    assert [facts(evil), facts(other)] == before
    await house.until(lambda: len(inherited(house)) == 4)
    assert {effect for _, effect in inherited(house)[2:]} == {outcome_pb2.EFFECT_STATE_NOT_IN_FORCE}


def _by_content(sha256: str, folder: Path) -> remediation_pb2.Remediation:
    order = device_pb2.StopAndQuarantine(
        device=OWN, file=target_pb2.FileSelector(sha256=sha256), search_folders=[str(folder)]
    )
    return remediation_pb2.Remediation(stop_and_quarantine=order)


async def test_what_would_start_it_comes_back_too(house: House, world: World) -> None:
    """A place that was disarmed is told of by the vault's note of it, and is armed again."""
    evil = world.program("evil")
    tab = world.root / "etc" / "cron.d" / "evil"
    tab.parent.mkdir(parents=True)
    tab.write_text(f"* * * * * root {evil}\n", encoding="utf-8")
    before = facts(tab)
    action = await take(house, evil)
    assert str(evil) not in "".join(
        line for line in tab.read_text(encoding="utf-8").splitlines() if not line.startswith("#")
    )
    await lose(house, world)
    await house.until(lambda: len(inherited(house)) == 2)
    back = await house.carry_out(release(action))
    assert back.outcome.effect == IN_FORCE
    assert [outcome.state for outcome in house.center.items(back.action)] == [item_pb2.ITEM_STATE_DONE] * 2
    assert evil.exists()
    assert (facts(tab)["bytes"], facts(tab)["mode"]) == (before["bytes"], before["mode"])


async def test_an_undo_of_it_is_not_known(house: House, world: World) -> None:
    """JOURNAL_LOST, and the file stays where it is."""
    evil = world.program("evil")
    action = await take(house, evil)
    await lose(house, world)
    undone = await house.carry_out(quarantine(evil), undo_of=action)
    assert (undone.disposition, undone.failure.reason) == (receipt_pb2.DISPOSITION_REFUSED, "JOURNAL_LOST")
    assert not evil.exists()


async def test_an_older_copy_reads_the_vault_in_the_same_way(house: House, world: World) -> None:
    """What was taken before the copy is the journal's, what was taken after it is inherited; both come back."""
    first, second = world.program("first"), world.program("second")
    before = [facts(first), facts(second)]
    one = await take(house, first)
    await house.crash()
    copy = house.path.read_bytes()
    await house.move_in()
    await house.connect()
    two = await take(house, second)
    await lose(house, world, copy)
    await house.until(lambda: inherited(house))
    assert [remediation.stop_and_quarantine.file.path for remediation, _ in inherited(house)] == [str(second)]
    await house.carry_out(release(action=two))
    await house.carry_out(quarantine(first), undo_of=one)
    assert [{**facts(path), "folder": 0} for path in (first, second)] == [{**was, "folder": 0} for was in before]


async def test_control_with_its_journal_nothing_is_inherited(house: House, world: World) -> None:
    """The same start, the journal being there."""
    evil = world.program("evil")
    await take(house, evil)
    await house.again()
    await house.until(lambda: house.center.reports)
    await house.quiet()
    assert inherited(house) == []
