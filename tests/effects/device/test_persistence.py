"""What would start a quarantined file again is disarmed, by the smallest change, and comes back to the byte."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from quell.remediation.v1 import device_pb2, target_pb2

from persistence_world import INNOCENT, MASKED, PLACES, Persistent
from quarantine_world import ACTION, STATE, Said, World, change_attributes, facts
from quell_executor.effect import Plan


@pytest.fixture
def evil(world: World) -> Path:
    """Return a program that is to be taken."""
    return world.program("evil")


@pytest.fixture
def places(world: World, evil: Path) -> Persistent:
    """Return all places, each of which starts it."""
    return Persistent(world, evil)


def only_starts(plan: Plan) -> Plan:
    """Return the part of a plan that is about places."""
    return replace(plan, items=tuple(item for item in plan.items if item.item.HasField("start")))


def start_of(plan: Plan, place: Path) -> Plan:
    """Return the part of a plan that is about one place."""
    return replace(plan, items=tuple(item for item in plan.items if item.item.start.path == str(place)))


async def test_every_place_is_found_disarmed_and_put_back(world: World, evil: Path, places: Persistent) -> None:
    """Each is an item of the plan; the others stay; undo brings back bytes, owners, modes, times, attributes, links."""
    before, file = places.look(), facts(evil)
    plan = await world.plan(path=str(evil))
    paths = {item.item.start.path for item in only_starts(plan).items}
    assert {str(Path(path).relative_to(places.root)) for path in paths} == places.found
    assert set(await world.states(plan)) == {"PLANNED"}
    assert places.look() == before
    assert set(await world.take(plan)) == {"DONE"}
    assert places.naming() == set()
    for name in places.found - MASKED:
        assert places.path(name).read_bytes().startswith(INNOCENT)
    assert {name for name in places.found if places.path(name).is_symlink()} == MASKED
    assert all(places.path(name).readlink() == Path("/dev/null") for name in MASKED)
    assert set(await world.undo(plan)) == {"DONE"}
    assert (places.look(), facts(evil)) == (before, file)
    assert os.listdir(world.data / "vault") == []  # noqa: PTH208 - the whole of it


async def test_control_kept_persistence_stays(world: World, evil: Path, places: Persistent) -> None:
    """Told to keep it, the file alone is taken, and the same look still finds every place; the preview says so."""
    order = device_pb2.StopAndQuarantine(file=target_pb2.FileSelector(path=str(evil)), keep_persistence=True)
    before = places.look()
    plan = replace(await world.effect().plan(order, None), action=ACTION)
    assert [item.item.WhichOneof("thing") for item in plan.items] == ["file"]
    assert plan.notes == (f"{len(places.found)} places that would start it stay",)
    assert await world.take(plan) == ["DONE"]
    assert places.look() == before
    assert places.naming() >= PLACES.keys() - {"etc/systemd/system/helper.timer"}


async def test_the_preview_shows_place_line_and_file(world: World, evil: Path, places: Persistent) -> None:
    """A line where a line goes, nothing where the whole of it is masked."""
    plan = await world.plan(path=str(evil))
    (cron,) = start_of(plan, places.path("etc/cron.d/up")).items
    (unit,) = start_of(plan, places.path("etc/systemd/system/helper.service")).items
    assert cron.item.start.entry == f"* * * * * root {evil} -q"
    assert unit.item.start.entry == ""
    assert cron.item.start.file.path == str(evil)
    assert cron.key == f"device.persistence:{cron.item.start.file.sha256}:{places.path('etc/cron.d/up')}"
    assert f"device.path:{evil}" in cron.names


async def test_the_mode_and_owner_of_a_changed_place_stay(world: World, evil: Path, places: Persistent) -> None:
    """A key list that others could read would be none; sudo reads no file that others may write."""
    keys, rule = places.path("home/alice/.ssh/authorized_keys"), places.path("etc/sudoers.d/x")
    if os.geteuid() == 0:
        os.chown(keys, 1000, 1000)
    before = [(path.stat().st_mode, path.stat().st_uid, os.getxattr(path, "user.note")) for path in (keys, rule)]
    assert set(await world.take(await world.plan(path=str(evil)))) == {"DONE"}
    after = [(path.stat().st_mode, path.stat().st_uid, os.getxattr(path, "user.note")) for path in (keys, rule)]
    assert after == before
    assert keys.read_text() == INNOCENT.decode() + "ssh-ed25519 AAAAgood alice\n"
    # Cron looks at times: a table that is as old as before would not be read again.
    assert places.path("var/spool/cron/crontabs/alice").stat().st_mtime > 1_700_000_000


@pytest.mark.skipif(shutil.which("systemctl") is None, reason="systemd is not installed")
async def test_systemd_takes_a_masked_unit_for_masked(world: World, evil: Path, places: Persistent) -> None:
    """By its own word, before, while it is disarmed, and after undo."""

    def enabled() -> str:
        command = ["systemctl", f"--root={places.root}", "is-enabled", "helper.service"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 - ours

    plan = await world.plan(path=str(evil))
    assert enabled() == "enabled"
    await world.take(plan)
    assert enabled() == "masked"
    await world.undo(plan)
    assert enabled() == "enabled"


def replace_folder(path: Path) -> None:
    """Put a new folder where the place's was."""
    path.parent.rename(path.parent.with_name("moved"))
    path.parent.mkdir()


def make_folder(path: Path) -> None:
    """Put a folder where the place was."""
    path.unlink()
    path.mkdir()


DISTURBANCES: dict[str, Callable[[Path], object]] = {
    "its content": lambda path: path.write_bytes(path.read_bytes() + b"0 4 * * * root /usr/bin/true\n"),
    "its mode": lambda path: path.chmod(0o600),
    "its attributes": lambda path: os.setxattr(path, "user.other", b"x"),
    "it is gone": lambda path: path.unlink(),
    "its folder is another one": replace_folder,
    "it is no file": make_folder,
}


@pytest.mark.parametrize("difference", DISTURBANCES)
async def test_what_others_changed_stays_and_the_rest_comes_back(
    world: World, evil: Path, places: Persistent, difference: str
) -> None:
    """CONFLICT with the difference, and nothing of that place changed; the other places and the file are back."""
    plan = await world.plan(path=str(evil))
    await world.take(plan)
    cron = places.path("etc/cron.d/up")
    DISTURBANCES[difference](cron)
    disturbed = (cron.exists() and cron.is_file() and facts(cron), sorted(cron.parent.rglob("*")))
    back = await world.effect().plan_revert(plan)
    states = dict(zip([item.item.start.path for item in plan.items], await world.undo(plan), strict=True))
    in_folder = [path for path in states if path.startswith(f"{cron.parent}/")]
    assert [states.pop(path) for path in in_folder] == ["CONFLICT"]
    assert set(states.values()) == {"DONE"}
    failure = next(found.failure for found in await world.effect().probe(back) if found.failure)
    assert (failure.reason, failure.message) == ("PLACE_CHANGED", f"others have changed it since: {difference}")
    assert (cron.exists() and cron.is_file() and facts(cron), sorted(cron.parent.rglob("*"))) == disturbed
    assert evil in world.box.iterdir()


async def test_a_unit_that_others_unmasked_is_a_conflict(world: World, evil: Path, places: Persistent) -> None:
    """A new unit in the place of the mask stays as it is; if it starts the file again, the probe says so."""
    plan = await world.plan(path=str(evil))
    await world.take(plan)
    unit = places.path("etc/systemd/system/helper.service")
    part = start_of(plan, unit)
    for text, state in ((f"[Service]\nExecStart={evil}\n", "FAILED"), ("[Service]\nExecStart=/bin/true\n", "DONE")):
        unit.unlink()
        unit.write_text(text)
        assert await world.states(part) == [state]
        assert await world.undo(part) == ["CONFLICT"]
        assert unit.read_text() == text


async def test_a_place_that_changed_after_the_plan_stays(world: World, evil: Path, places: Persistent) -> None:
    """It is not what was planned: left alone, and told whether it still starts the file."""
    cron = places.path("etc/cron.d/up")
    changed = (f"* * * * * root {evil} --more\n", "FAILED", "CHANGED_SINCE"), ("nothing\n", "MISSING", "")
    for text, state, reason in changed:
        plan = start_of(await world.plan(path=str(evil)), cron)
        cron.write_text(text)
        before = facts(cron)
        assert await world.take(plan) == [state]
        assert await world.reasons(plan) == [reason]
        assert facts(cron) == before
        cron.write_text(f"* * * * * root {evil}\n")


async def test_what_was_disarmed_is_found_again(world: World, evil: Path, places: Persistent) -> None:
    """Asked for anew, the same places with what lay there: the newer action may put all of it back."""
    before = places.look()
    plan = await world.plan(path=str(evil))
    await world.take(plan)
    again = await world.plan(path=str(evil))
    assert {item.key for item in again.items} == {item.key for item in plan.items}
    assert set(await world.states(again)) == {"DONE"}
    assert set(await world.undo(again)) == {"DONE"}
    assert places.look() == before


async def test_a_line_that_came_back_is_planned_anew(world: World, evil: Path, places: Persistent) -> None:
    """A dropper that wrote its line again is seen by the probe, and by the next order."""
    plan = await world.plan(path=str(evil))
    await world.take(plan)
    places.write("etc/cron.d/up", PLACES["etc/cron.d/up"])
    assert await world.states(start_of(plan, places.path("etc/cron.d/up"))) == ["FAILED"]
    again = await world.plan(path=str(evil))
    part = start_of(again, places.path("etc/cron.d/up"))
    assert await world.states(part) == ["PLANNED"]
    assert set(await world.take(again)) == {"DONE"}
    assert places.naming() == set()


async def test_two_contents_in_one_table_come_back_in_order(world: World, evil: Path) -> None:
    """Each has its own item; the older is a conflict while the newer is in force, and then comes back exactly."""
    other, cron = world.program("other"), world.root / "etc/crontab"
    cron.parent.mkdir(parents=True)
    cron.write_text(f"* * * * * root {evil}\n* * * * * root {other}\n")
    before = facts(cron)
    first, second = await world.plan(path=str(evil)), None
    assert await world.take(first) == ["DONE", "DONE"]
    second = await world.plan(path=str(other))
    assert await world.take(second) == ["DONE", "DONE"]
    assert cron.read_text() == ""
    assert await world.undo(only_starts(first)) == ["CONFLICT"]
    assert await world.undo(second) == ["DONE", "DONE"]
    assert cron.read_text() == f"* * * * * root {other}\n"
    assert await world.undo(first) == ["DONE", "DONE"]
    assert facts(cron) == before


async def test_a_second_name_of_a_table_is_a_place_of_its_own(world: World, evil: Path) -> None:
    """Two names of one file are links of one file again after undo."""
    table, other = world.root / "etc/cron.d/a", world.root / "etc/cron.d/b"
    table.parent.mkdir(parents=True)
    table.write_text(f"* * * * * root {evil}\n")
    other.hardlink_to(table)
    before = [facts(path) for path in (table, other)]
    plan = await world.plan(path=str(evil))
    assert set(await world.take(plan)) == {"DONE"}
    assert (table.read_text(), other.read_text()) == ("", "")
    assert set(await world.undo(plan)) == {"DONE"}
    assert [facts(path) for path in (table, other)] == before
    assert table.samefile(other)


async def test_pipes_giants_and_loops_hold_nothing_up(world: World, evil: Path, places: Persistent) -> None:
    """What is no small file in such a place is passed over."""
    os.mkfifo(places.path("etc/cron.d/pipe"))
    os.truncate(places.path("etc/cron.d/giant"), 0) if places.path("etc/cron.d/giant").exists() else None
    with places.path("etc/cron.d/giant").open("wb") as out:
        out.truncate(1 << 40)
    places.path("etc/cron.d/loop").symlink_to("loop")
    places.path("etc/systemd/system/loop").symlink_to(".")
    places.path("etc/cron.d/dangling").symlink_to("/nowhere")
    assert len(only_starts(await world.plan(path=str(evil))).items) == len(places.found)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="changes attributes: needs root")
async def test_a_table_that_forbids_changes_comes_back_so(world: World, evil: Path, places: Persistent) -> None:
    """The immutable flag goes away with the file, and comes back with it."""
    cron = places.path("etc/cron.d/up")
    change_attributes(cron, "+i")
    before = facts(cron)
    try:
        plan = await world.plan(path=str(evil))
        assert set(await world.take(plan)) == {"DONE"}
        assert set(await world.undo(plan)) == {"DONE"}
        assert facts(cron) == before
    finally:
        change_attributes(cron, "-i")


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user: needs root")
def test_an_ordinary_user_leaves_the_systems_places() -> None:
    """Refused with its reason, not tried."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("data", "box"):
            Path(folder, name).mkdir()
        world = World(Path(folder, "data"), Path(folder, "box"))
        evil = world.program("evil")
        places = Persistent(world, evil)
        for path in (Path(folder), world.box, world.data, evil):
            os.chown(path, 65534, -1)
        os.seteuid(65534)
        try:
            plan = only_starts(asyncio.run(world.plan(path=str(evil))))
            assert plan.items
            assert set(asyncio.run(world.take(plan))) == {"REFUSED"}
        finally:
            os.seteuid(0)
        assert places.naming()


MANAGED = """
import asyncio, os, subprocess, sys
from pathlib import Path
os.makedirs("/run/systemd", exist_ok=True)
subprocess.run(["mount", "-t", "tmpfs", "none", "/run/systemd"], check=True)
os.makedirs("/run/systemd/system")
recorder = Path(sys.argv[1], "recorder")
recorder.write_text(f"#!/bin/sh\\necho \\"$@\\" >> {sys.argv[1]}/said\\n")
recorder.chmod(0o755)
subprocess.run(["mount", "--bind", recorder, "/usr/bin/systemctl"], check=True)
from quell_agent.before import Folder, Inode
from quell_agent.files import Content
from quell_agent.persistence import units
from quell_agent.persistence.start import Start
assert units.are_managed()
inode, folder = Inode(0, 0, 1, 0, 0, 0, 0, 0, 0, 0, {}), Folder(0, 0, 0, 0)
start = lambda unit, masked: Start(unit, Content(), (), "", "unit", "", inode, folder, unit=unit, masked=masked)
starts = [start("a.service", True), start("b.service", False), start("", True)]
asyncio.run(units.reload(starts, stop=True))
asyncio.run(units.reload(starts, stop=False))
asyncio.run(units.reload(starts[2:], stop=True))
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="makes a mount namespace: needs root")
@pytest.mark.skipif(not Path("/usr/bin/systemctl").exists(), reason="systemd is not installed")
def test_a_manager_is_told_where_there_is_one(tmp_path: Path) -> None:
    """Units are read again, masked ones stopped; for what is no unit nothing is said."""
    command = ["unshare", "-m", sys.executable, "-c", MANAGED, str(tmp_path)]
    subprocess.run(command, check=True, timeout=60)  # noqa: S603 - ours
    said = (tmp_path / "said").read_text().splitlines()
    assert said == ["daemon-reload", "stop --no-block -- a.service", "daemon-reload"]


async def test_progress_and_states_are_told_for_places_alone(world: World, evil: Path, places: Persistent) -> None:
    """A plan of which only places are left to do touches neither processes nor files."""
    plan = only_starts(await world.plan(path=str(evil)))
    said = Said()
    await world.effect().apply(plan, said)
    assert said.messages == []
    assert evil in world.box.iterdir()
    assert {STATE.Name(found.state) for found in await world.effect().probe(plan)} == {"ITEM_STATE_DONE"}
    assert places.naming() == set()
