"""What attackers really do, each bounded in number and time, against the effect; and what happens without it."""

import asyncio
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from eventually import eventually
from quarantine_world import Said, World, digests, facts
from quell_agent.processes import Wanted

SECONDS = 30
"""No attacker lives longer."""
LIBRARY = next((path for path in Path("/usr/lib").glob("*-linux-gnu/libm.so.6")), Path("/nowhere"))
STARTER = """
import os, subprocess, sys, time
evil, cache, end = sys.argv[1], sys.argv[2], time.time() + float(sys.argv[3])
for _ in range(300):
    if time.time() > end:
        break
    if cache:
        import shutil
        shutil.copy(cache, evil)
    try:
        process = subprocess.Popen([evil, "5"])
        print("up", flush=True)
        process.wait()
    except OSError:
        print("none", flush=True)
        time.sleep(0.02)
"""
CRON = """
import subprocess, sys, time
end = time.time() + float(sys.argv[2])
while time.time() < end:
    for line in open(sys.argv[1]):
        if not line.startswith("#"):
            subprocess.run(["/bin/sh", "-c", line.split(None, 6)[6]])
    print("round", flush=True)
    time.sleep(0.02)
"""
WATCHER = """# %s
import sys, time
table, end = sys.argv[1], time.time() + float(sys.argv[2])
line = open(table).read()
print("up", flush=True)
while time.time() < end:
    if sys.argv[0] not in open(table).read():
        open(table, "w").write(line)
    time.sleep(0.0005)
"""
IN_MEMORY = """
import os, sys
memory = os.memfd_create("x", 0)
with open(sys.argv[1], "rb") as source:
    os.write(memory, source.read())
print("up", flush=True)
os.execve(memory, ["[kworker/0:1]", "30"], {})
"""


def line_of(process: subprocess.Popen[bytes]) -> bytes:
    """Wait for the next line that a process writes."""
    assert process.stdout is not None
    return process.stdout.readline()


async def runs(world: World, sha256: str) -> int:
    """Return how many processes run a content."""
    wanted = Wanted(lambda content: content.sha256 == sha256)
    return len(await asyncio.to_thread(world.processes.stoppable, wanted))


async def started(world: World, sha256: str, count: int = 1) -> None:
    """Wait until so many run."""
    await eventually(lambda: runs(world, sha256), lambda found: found >= count)


@pytest.mark.parametrize("cached", [False, True], ids=["the file", "a copy of it"])
async def test_a_service_that_starts_itself_again(world: World, tmp_path: Path, *, cached: bool) -> None:
    """Started anew whenever it dies: with its file gone it can't be; one that brings a copy each time is told."""
    evil = world.program("evil")
    cache = tmp_path / "cache"
    shutil.copy2(evil, cache)
    sha256 = digests(evil).sha256
    service = world.run(sys.executable, "-c", STARTER, evil, cache if cached else "", str(SECONDS))
    await started(world, sha256)
    (process,) = world.processes.running(Wanted(lambda content: content.sha256 == sha256))
    os.kill(process.pid, 9)
    assert line_of(service) == b"up\n"
    await started(world, sha256)
    plan = await world.plan(path=str(evil))
    states = await world.take(plan)
    if cached:
        # While it is being copied it is another content.
        await eventually(lambda: world.reasons(plan), lambda seen: seen == ["CAME_BACK"])
        return
    assert states == ["DONE"]
    while line_of(service) != b"none\n":
        pass
    assert await runs(world, sha256) == 0


async def test_one_that_hides_its_name_and_deletes_its_file(world: World) -> None:
    """Renamed, started as a kernel thread, deleted: found by what it runs."""
    evil = world.program("evil")
    sha256, hidden = digests(evil).sha256, evil.rename(evil.with_name(".x"))
    process = world.run("/bin/bash", "-c", f"exec -a '[kworker/0:1]' {hidden} 30")
    await started(world, sha256)
    hidden.unlink()
    plan = await world.plan(sha256=sha256)
    assert await world.take(plan) == ["DONE"]
    assert process.wait(5) == -9


async def test_one_that_lives_in_memory_alone(world: World) -> None:
    """A program that was never a file on disk, of the content that is."""
    evil = world.program("evil")
    process = world.run(sys.executable, "-c", IN_MEMORY, evil)
    assert line_of(process) == b"up\n"
    sha256 = digests(evil).sha256
    await started(world, sha256)
    plan = await world.plan(sha256=sha256, folders=[world.box])
    assert len(plan.items) == 2
    assert set(await world.take(plan)) == {"DONE"}
    assert process.wait(5) == -9


@pytest.mark.skipif(not LIBRARY.exists(), reason="no library to make one of")
async def test_a_preloaded_library(world: World) -> None:
    """Who has it mapped is stopped, who has not goes on, and the place that preloads it is emptied; all comes back."""
    evil = world.program("evil.so", like=LIBRARY)
    with evil.open("ab") as out:
        out.write(secrets.token_bytes(16))
    preload = world.root / "etc/ld.so.preload"
    preload.parent.mkdir(parents=True)
    preload.write_text(f"{evil}\n")
    before = facts(preload)
    sha256 = digests(evil).sha256
    guilty = world.run("/usr/bin/env", f"LD_PRELOAD={evil}", "/bin/sleep", "30")
    ours = world.run(
        "/usr/bin/env", f"LD_PRELOAD={evil}", "/bin/bash", "-c", "exec -a quell_agent.talker /bin/sleep 30"
    )
    innocent = world.run("/bin/sleep", "30")
    await started(world, sha256)
    plan = await world.plan(path=str(evil))
    assert await world.take(plan) == ["DONE", "DONE"]
    assert guilty.wait(5) == -9
    assert (innocent.poll(), ours.poll()) == (None, None)
    assert preload.read_text() == "\n"
    assert await world.undo(plan) == ["DONE", "DONE"]
    assert facts(preload) == before


async def test_a_padded_copy_is_another_content(world: World) -> None:
    """By content only that very content is meant: the known limit. By its own path it is taken like any other."""
    evil = world.program("evil")
    padded = world.program("padded", like=evil)
    with padded.open("ab") as out:
        out.write(bytes(100))
    process = world.run(padded, "30")
    await started(world, digests(padded).sha256)
    by_content = await world.plan(sha256=digests(evil).sha256, folders=[world.box])
    assert await world.take(by_content) == ["DONE"]
    assert process.poll() is None
    by_path = await world.plan(path=str(padded))
    assert await world.take(by_path) == ["DONE"]
    assert process.wait(5) == -9


@pytest.mark.parametrize("kept", [False, True], ids=["disarmed", "control: kept"])
async def test_a_dropper_in_a_table_of_cron(world: World, tmp_path: Path, *, kept: bool) -> None:
    """A line that copies the file back and starts it: with the line gone it does not come back; with it, it does."""
    evil, table = world.program("evil"), world.root / "etc/cron.d/up"
    cache = tmp_path / "cache"
    shutil.copy2(evil, cache)
    table.parent.mkdir(parents=True)
    table.write_text(f"# cron\n* * * * * root cp {cache} {evil} && test -x {evil}\n")
    cron = world.run(sys.executable, "-c", CRON, table, str(SECONDS))
    assert line_of(cron) == b"round\n"
    plan = await world.plan(path=str(evil))
    if kept:
        plan = replace(plan, items=plan.items[:1])
    await world.effect().apply(plan, Said())
    for _ in range(3):
        assert line_of(cron) == b"round\n"
    assert evil.is_file() == kept
    # While it is being copied it is another content.
    expected = ["FAILED"] if kept else ["DONE", "DONE"]
    await eventually(lambda: world.states(plan), lambda states: states == expected)


@pytest.mark.parametrize("frozen", [True, False], ids=["frozen", "control: not frozen"])
async def test_one_that_watches_its_line(world: World, *, frozen: bool) -> None:
    """It writes its line back at once; frozen first, it can't. Taken away while it runs, the line is there again."""
    script, table = world.box / "watcher.py", world.root / "etc/crontab"
    script.write_text(WATCHER % secrets.token_hex(8))
    table.parent.mkdir(parents=True)
    table.write_text(f"* * * * * root {sys.executable} {script}\n")
    process = world.run(sys.executable, script, table, str(SECONDS))
    assert line_of(process) == b"up\n"
    plan = await world.plan(path=str(script))
    assert len(plan.items) == 2
    if frozen:
        assert await world.take(plan) == ["DONE", "DONE"]
        assert process.wait(5) == -9
        assert table.read_text() == ""
        return
    line = replace(plan, items=plan.items[1:])
    await world.effect().apply(line, Said())
    assert await eventually(lambda: world.states(line), lambda states: states == ["FAILED"]) == ["FAILED"]


async def test_taken_back_before_it_was_stopped_it_goes_on(world: World) -> None:
    """Killed right after freezing, and taken back: the process runs as before."""

    class Killed(BaseException):
        """The agent is no more."""

    def kill(point: str) -> None:
        if point == "quarantine.frozen":
            raise Killed

    async def state() -> str:
        return psutil.Process(process.pid).status()

    evil = world.program("evil")
    process = world.run(evil, "30")
    await started(world, digests(evil).sha256)
    plan = await world.plan(path=str(evil))
    with pytest.raises(Killed):
        await world.effect(kill).apply(plan, Said())
    await eventually(state, lambda seen: seen == psutil.STATUS_STOPPED)
    assert await world.undo(plan) == ["DONE"]
    await eventually(state, lambda seen: seen == psutil.STATUS_SLEEPING)


async def test_a_file_that_is_held_open_for_writing(world: World) -> None:
    """It is taken; what its holder writes afterwards reaches no one; undo brings back what was planned."""
    evil = world.program("evil")
    before = facts(evil)
    with evil.open("ab") as holder:
        plan = await world.plan(path=str(evil))
        assert await world.take(plan) == ["DONE"]
        holder.write(b"later")
        holder.flush()
        assert await world.states(plan) == ["DONE"]
        assert await world.undo(plan) == ["DONE"]
    assert facts(evil) == before


MEMORY = Path("/dev/shm")  # noqa: S108 - a mount of its own


@contextmanager
def elsewhere(world: World) -> Iterator[Path]:
    """Return a folder on another mount; the vault that is made there goes with it."""
    known = set(MEMORY.glob(".quell-*"))
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        world.box = Path(folder, "box")
        yield Path(folder)
    for made in set(MEMORY.glob(".quell-*")) - known:
        shutil.rmtree(made)


def modes_of_vaults() -> list[int]:
    """Return the mode of each vault in memory that holds a file."""
    vaults = [path for path in MEMORY.glob(".quell-*") if list(path.glob("*.sealed"))]
    return [path.stat().st_mode & 0o777 for path in vaults]


@pytest.mark.skipif(not MEMORY.is_mount(), reason="there is no second mount")
async def test_another_mount_has_a_vault_of_its_own(world: World) -> None:
    """File and table on a file system in memory: taken there, unreadable to others, given back exactly."""
    with elsewhere(world):
        evil, table = world.program("evil"), world.root / "etc/crontab"
        table.parent.mkdir(parents=True)
        table.write_text(f"* * * * * root {evil}\n")
        process, before = world.run(evil, "30"), [facts(evil)]
        plan = await world.plan(path=str(evil))
        assert await world.take(plan) == ["DONE", "DONE"]
        assert process.wait(5) == -9
        assert modes_of_vaults() == [0o700]
        assert await world.undo(plan) == ["DONE", "DONE"]
        assert [facts(evil)] == before


READ_ONLY = """
import asyncio, subprocess, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from quarantine_world import World
box = Path(sys.argv[1], "box")
subprocess.run(["mount", "-t", "tmpfs", "none", box], check=True)
(Path(sys.argv[1]) / "data").mkdir()
world = World(Path(sys.argv[1]) / "data", box)
evil = world.program("evil")
plan = asyncio.run(world.plan(path=str(evil)))
subprocess.run(["mount", "-o", "remount,ro", box], check=True)
assert asyncio.run(world.take(plan)) == ["PLANNED"], "what could not be taken is not called taken"
assert evil.exists()
subprocess.run(["mount", "-o", "remount,rw", box], check=True)
assert asyncio.run(world.take(plan)) == ["DONE"]
assert asyncio.run(world.undo(plan)) == ["DONE"]
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="makes a mount namespace: needs root")
def test_a_mount_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    """Not taken, and not said to be; once it can be written it is taken by the same plan."""
    (tmp_path / "box").mkdir()
    support = Path(__file__).parents[2] / "support"
    command = ["unshare", "-m", sys.executable, "-c", READ_ONLY, str(tmp_path), str(support)]
    subprocess.run(command, check=True, timeout=60)  # noqa: S603 - ours
