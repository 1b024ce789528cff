"""A quarantined file is gone with all its processes, and undo brings back everything that can come back."""

import asyncio
import os
import shutil
import struct
import sys
import tempfile
import time
from pathlib import Path

import pytest

from eventually import eventually
from quarantine_world import ACTION, Said, World, change_attributes, digests, facts
from quell_agent.processes import Wanted
from quell_executor.effect import RefusedError

DEBIAN = Path("/var/lib/dpkg/info").is_dir()
MAPS = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
MAPPED = [Path(path) for path in {line.split(None, 5)[5] for line in MAPS if "libc" in line or "ld-linux" in line}]


async def test_a_running_file_is_stopped_taken_and_given_back(world: World) -> None:
    """Found by content where it runs; gone and dead afterwards; the same again after undo."""
    evil = world.program("evil")
    process, before = world.run(evil, "60"), facts(evil)
    plan = await world.plan(sha256=digests(evil).sha256)
    assert [item.item.file.path for item in plan.items] == [str(evil)]
    assert await world.states(plan) == ["PLANNED"]
    assert await world.take(plan) == ["DONE"]
    assert not evil.exists()
    assert process.wait(5) == -9
    assert list(world.box.iterdir()) == []
    assert await world.undo(plan) == ["DONE"]
    assert facts(evil) == before
    assert os.listdir(world.data / "vault") == []  # noqa: PTH208 - the whole of it


async def test_control_without_the_effect_the_same_looks_fail(world: World) -> None:
    """The checks above see a difference: a plan that is not applied leaves file and process."""
    evil = world.program("evil")
    process = world.run(evil, "60")
    plan = await world.plan(sha256=digests(evil).sha256)
    assert await world.states(plan) == ["PLANNED"]
    assert evil.exists()
    assert process.poll() is None


async def test_all_that_can_come_back_comes_back(world: World) -> None:
    """Attributes, odd mode, old times, hard links in two folders, the folders' times, a name that is no UTF-8."""
    evil = world.program("evil")
    (world.box / "sub").mkdir()
    other = world.box / "sub" / os.fsdecode(b"\xff\\third")
    other.hardlink_to(evil)
    os.setxattr(evil, "user.note", b"\x00hello")
    evil.chmod(0o4751)
    os.utime(evil, ns=(1_600_000_000_123_456_789, 1_500_000_000_987_654_321))
    for folder in (world.box / "sub", world.box):
        os.utime(folder, ns=(1_400_000_000_000_000_001, 1_400_000_000_000_000_002))
    before = [facts(path) for path in (evil, other)]
    plan = await world.plan(path=str(evil), sha256=digests(evil).sha256)
    assert len(plan.items) == 2
    assert {item.item.file.path for item in plan.items} == {str(evil), f"{world.box}/sub/\\xff\\\\third"}
    assert await world.take(plan) == ["DONE", "DONE"]
    assert not evil.exists()
    assert not other.exists()
    assert await world.undo(plan) == ["DONE", "DONE"]
    assert [facts(path) for path in (evil, other)] == before
    assert evil.samefile(other)


NOBODY = 0xFFFFFFFF
ONE_USER_MORE = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry)
    for entry in ((1, 7, NOBODY), (2, 4, 1234), (4, 5, NOBODY), (16, 5, NOBODY), (32, 1, NOBODY))
)
"""An access list as the kernel has it (acl(5)): owner, user 1234, group, mask, others."""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="changes owners, capabilities and attributes: needs root")
async def test_owner_capabilities_lists_and_the_immutable_flag_come_back(world: World) -> None:
    """What only root can set, too."""
    evil = world.program("evil")
    os.setxattr(evil, "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
    os.chown(evil, 1234, 4321)
    evil.chmod(0o4751)
    os.setxattr(evil, "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
    os.setxattr(evil, "trusted.note", b"x")
    os.setxattr(evil, "system.posix_acl_access", ONE_USER_MORE)
    change_attributes(evil, "+i")
    before = facts(evil)
    assert "system.posix_acl_access" in str(before["attributes"])
    try:
        plan = await world.plan(path=str(evil))
        assert await world.take(plan) == ["DONE"]
        assert await world.undo(plan) == ["DONE"]
        assert facts(evil) == before
        assert before["owner"] == (1234, 4321)
    finally:
        change_attributes(evil, "-i")


RESPAWNER = """# %s
import os, sys, time
end = float(sys.argv[1])
while time.time() < end:
    main = os.getpid()
    if os.fork() == 0:
        while os.getppid() == main:
            if time.time() > end:
                os._exit(0)
            time.sleep(0.002)
        os.execv(sys.executable, [sys.executable, *sys.argv])
    os.wait()
"""


async def test_respawners_are_frozen_before_they_are_killed(world: World) -> None:
    """Twelve, in pairs of which each starts the other anew: killed one by one they come back, frozen first they end."""
    script = world.box / "respawner.py"
    script.write_text(RESPAWNER % os.urandom(8).hex())
    content, end = digests(script), str(time.time() + 20)
    processes = [world.run(sys.executable, script, end) for _ in range(6)]
    wanted = Wanted(content.matches)

    async def running() -> int:
        return len(await asyncio.to_thread(world.processes.stoppable, wanted))

    await eventually(running, lambda count: count >= 12)
    for process in processes:
        process.kill()
    await eventually(running, lambda count: count >= 12)
    plan = await world.plan(path=str(script))
    assert await world.take(plan) == ["DONE"]
    assert await running() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
async def test_the_same_path_in_a_container_is_another_script(world: World) -> None:
    """It runs there, before and after ours is taken; in its own place, ours is stopped."""
    script = world.box / "evil.py"
    code = "import time\nprint('up', flush=True)\ntime.sleep(60)\n"
    script.write_text(f"# {os.urandom(8).hex()}\n{code}")
    (world.data / "other.py").write_text(code)
    lines = f"mount -t tmpfs none {world.box}; cp {world.data}/other.py {script}; exec {sys.executable} {script}"
    contained = world.run("/usr/bin/unshare", "--mount", "/bin/sh", "-c", lines)
    ours = world.run(sys.executable, script)
    for process in (contained, ours):
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
    assert await world.take(await world.plan(sha256=digests(script).sha256)) == ["DONE"]
    assert ours.wait(5) == -9
    assert contained.poll() is None


async def test_a_script_is_found_by_its_interpreter(world: World) -> None:
    """Python closes its script, a shell keeps it: both are stopped, the interpreters stay."""
    script = world.box / "evil.py"
    script.write_text(f"# {os.urandom(8).hex()}\nimport time\nprint('up', flush=True)\ntime.sleep(60)\n")
    shell = world.box / "evil.sh"
    shell.write_text(f"# {os.urandom(8).hex()}\necho up\nread -t 60 < <(sleep 60)\n")
    for path, interpreter in ((script, sys.executable), (shell, "/bin/bash")):
        process = world.run(interpreter, path)
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        plan = await world.plan(sha1=digests(path).sha1)
        assert [item.item.file.path for item in plan.items] == [str(path)]
        assert await world.take(plan) == ["DONE"]
        assert process.wait(5) == -9
        assert world.run(interpreter, "--version").wait(5) == 0


async def test_a_deleted_file_that_still_runs_is_stopped(world: World) -> None:
    """There is nothing to take and nothing to give back, but a process to end."""
    evil = world.program("evil")
    sha256, process = digests(evil).sha256, world.run(evil, "60")
    evil.unlink()
    plan = await world.plan(sha256=sha256)
    assert await world.states(plan) == ["PLANNED"]
    assert await world.take(plan) == ["DONE"]
    assert process.wait(5) == -9
    assert await world.undo(plan) == ["MISSING"]


async def test_copies_are_found_in_folders_and_in_the_vault(world: World) -> None:
    """By content in a folder both copies; asked again, what the vault holds is found, and needs nothing."""
    first = world.program("a/first")
    second = world.program("b/second", like=first)
    other = world.program("b/other")
    sha256 = digests(first).sha256
    plan = await world.plan(sha256=sha256, folders=[world.box])
    assert {item.item.file.path for item in plan.items} == {str(first), str(second)}
    assert f"device.content:{sha256}:{world.box}" in plan.names
    assert all(plan.names <= item.names for item in plan.items)
    assert await world.take(plan) == ["DONE", "DONE"]
    assert other.exists()
    again = await world.plan(sha256=sha256)
    assert {item.key for item in again.items} == {item.key for item in plan.items}
    assert await world.states(again) == ["DONE", "DONE"]
    assert await world.undo(again) == ["DONE", "DONE"]
    assert digests(first) == digests(second)


async def test_names_given_back_one_by_one_are_links_again(world: World) -> None:
    """Two names of one file, undone by two actions."""
    evil = world.program("evil")
    other = world.box / "other"
    other.hardlink_to(evil)
    plan = await world.plan(path=str(evil))
    assert await world.take(plan) == ["DONE", "DONE"]
    for number in (0, 1):
        one = type(plan)(plan.items[number : number + 1], plan.names, action=ACTION)
        assert await world.undo(one) == ["DONE"]
    assert evil.samefile(other)
    assert evil.stat().st_nlink == 2


async def test_a_path_needs_its_content(world: World) -> None:
    """Path and digest must both match; a missing path and another content find nothing."""
    evil, other = world.program("evil"), world.program("other")
    assert (await world.plan(path=str(evil), sha256=digests(other).sha256)).items == ()
    assert (await world.plan(path=str(world.box / "nothing"))).items == ()
    assert len((await world.plan(path=f"{world.box}/./x/../evil", sha1=digests(evil).sha1)).items) == 1


async def test_what_is_no_file_is_refused(world: World) -> None:
    """A pipe, a folder, a device, a link, a path over a link: refused at once, without waiting."""
    os.mkfifo(world.box / "pipe")
    (world.box / "link").symlink_to(world.program("evil"))
    (world.box / "over").symlink_to(world.box)
    for path in (world.box / "pipe", world.box, "/dev/null", world.box / "link", world.box / "over/evil"):
        with pytest.raises(RefusedError) as refusal:
            await world.plan(path=str(path))
        assert refusal.value.failure.reason == "NOT_A_FILE"


async def test_protected_files_are_refused_and_stay(world: World) -> None:
    """Shell, C library, loader, python, the agent's code and vault, intact packaged files: none is ever taken."""
    own = Path(sys.modules["quell_agent.vault"].__file__ or "")
    (world.data / "vault" / "x").parent.mkdir(exist_ok=True)
    (world.data / "key").write_bytes(b"k")
    packaged = [Path("/usr/bin/env")] if DEBIAN else []
    for path in (
        *MAPPED,
        *packaged,
        Path("/bin/bash"),
        Path(sys.executable),
        own,
        Path(os.__file__),
        world.data / "key",
    ):
        plan = await world.plan(path=str(path.resolve()))
        assert plan.items, path
        assert set(await world.take(plan)) == {"REFUSED"}, path
        assert set(await world.reasons(plan)) == {"PROTECTED"}, path
        assert path.exists()


async def test_a_hard_link_to_a_protected_file_is_refused(world: World) -> None:
    """A name in a writable folder does not make a system file a stranger."""
    key = world.data / "key"
    key.write_bytes(os.urandom(16))
    (world.box / "innocent").hardlink_to(key)
    plan = await world.plan(path=str(world.box / "innocent"), sha256=digests(key).sha256)
    assert set(await world.take(plan)) == {"REFUSED"}
    assert key.exists()


async def test_programs_of_the_machine_are_not_stopped_for_a_copy(world: World) -> None:
    """A copy of a packaged program is taken; the packaged program's own processes go on."""
    copy = world.box / "sleep"
    shutil.copy("/bin/sleep", copy)
    innocent, guilty = world.run("/bin/sleep", "60"), world.run(copy, "60")
    plan = await world.plan(path=str(copy))
    assert await world.take(plan) == ["DONE"]
    assert guilty.wait(5) == -9
    if DEBIAN:
        assert innocent.poll() is None


async def test_conflicts_change_nothing(world: World) -> None:
    """A taken path, a replaced folder: CONFLICT, all as it was; once it is out of the way, undo works."""
    evil = world.program("sub/evil")
    before = facts(evil)
    plan = await world.plan(path=str(evil))
    assert await world.take(plan) == ["DONE"]
    evil.write_text("mine")
    assert await world.undo(plan) == ["CONFLICT"]
    assert await world.reasons(await world.effect().plan_revert(plan)) == ["PATH_TAKEN"]
    assert evil.read_text() == "mine"
    evil.unlink()
    moved = evil.parent.rename(world.box / "moved")
    evil.parent.mkdir()
    assert await world.undo(plan) == ["CONFLICT"]
    assert await world.reasons(await world.effect().plan_revert(plan)) == ["FOLDER_CHANGED"]
    assert list(evil.parent.iterdir()) == []
    evil.parent.rmdir()
    evil.parent.symlink_to(moved)
    assert await world.undo(plan) == ["CONFLICT"]
    assert list(moved.iterdir()) == []
    evil.parent.unlink()
    moved.rename(evil.parent)
    assert await world.undo(plan) == ["DONE"]
    assert facts(evil) == before


async def test_a_damaged_vault_is_seen_and_gives_nothing(world: World) -> None:
    """One flipped bit, a cut end, nothing at all: the probe says so, and nothing is written."""
    evil = world.program("evil")
    plan = await world.plan(path=str(evil))
    assert await world.take(plan) == ["DONE"]
    (sealed,) = (world.data / "vault").iterdir()
    whole, mode = sealed.read_bytes(), sealed.stat().st_mode
    for bad in (whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:], whole[:-20], b""):
        sealed.write_bytes(bad)
        assert await world.states(plan) == ["FAILED"]
        assert await world.undo(plan) == ["FAILED"]
        assert await world.reasons(await world.effect().plan_revert(plan)) == ["VAULT_DAMAGED"]
        assert not evil.exists()
    sealed.unlink()
    assert await world.undo(plan) == ["FAILED"]
    assert await world.reasons(await world.effect().plan_revert(plan)) == ["VAULT_LOST"]
    sealed.write_bytes(whole)
    sealed.chmod(mode)
    assert await world.undo(plan) == ["DONE"]


async def test_a_file_that_came_back_is_not_called_done(world: World) -> None:
    """The content dropped again at its path is seen, and a new order takes it."""
    evil = world.program("evil")
    keep = world.program("keep", like=evil)
    plan = await world.plan(path=str(evil))
    assert await world.take(plan) == ["DONE"]
    shutil.copy(keep, evil)
    assert await world.states(plan) == ["FAILED"]
    assert await world.reasons(plan) == ["CAME_BACK"]
    again = await world.plan(path=str(evil))
    assert await world.take(again) == ["DONE"]


async def test_a_change_after_the_plan_saves_the_file(world: World) -> None:
    """What lies there when the plan is applied is not what was planned: it stays."""
    evil = world.program("evil")
    plan = await world.plan(path=str(evil))
    evil.write_text("new content, same file")
    assert await world.take(plan) == ["MISSING"]
    assert evil.read_text() == "new content, same file"


async def test_progress_is_told(world: World) -> None:
    """In words."""
    evil = world.program("evil")
    said = Said()
    await world.effect().apply(await world.plan(path=str(evil)), said)
    assert said.messages == ["taking files", "stopping processes", "putting files under lock"]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user: needs root")
def test_an_ordinary_user_takes_its_own_files_and_no_others() -> None:
    """Not as root, what belongs to others is refused with its reason, and stays."""
    with tempfile.TemporaryDirectory() as folder:
        box = Path(folder, "box")
        for path in (Path(folder), box):
            path.mkdir(exist_ok=True)
            path.chmod(0o777)
        (box / "theirs").write_text("theirs")
        os.seteuid(65534)
        try:
            (box / "own").write_text("own")
            (Path(folder) / "data").mkdir()
            world = World(Path(folder) / "data", box)
            for name, states in (("theirs", ["REFUSED"]), ("own", ["DONE"])):
                plan = asyncio.run(world.plan(path=str(box / name)))
                assert asyncio.run(world.take(plan)) == states
                assert set(asyncio.run(world.reasons(plan))) == ({"NOT_PERMITTED"} if name == "theirs" else {""})
        finally:
            os.seteuid(0)
        assert (box / "theirs").read_text() == "theirs"
        assert not (box / "own").exists()
