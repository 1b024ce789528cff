"""A package keeps its limits, whatever is done to its readers, and leaves nothing behind."""

import asyncio
import json
import os
import signal
import stat
import sys
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest
from quell.remediation.v1 import item_pb2

from eventually import eventually
from package_world import Package, Scene, taken
from quell_agent.package.gathering import Source
from quell_agent.package.item import Item, Status, document
from quell_agent.package.limits import Limits
from quell_agent.package.machine import Machine
from quell_agent.package.walk import Walk
from started import Started

MIB = 1 << 20


@pytest.mark.parametrize("most", [MIB, 2 * MIB + 12_345, 8 * MIB])
async def test_it_never_grows_beyond_its_size(most: int, scene: Scene) -> None:
    """Of what can't be compressed so much as has room, the rest is listed; control: with room, all of it is there."""
    for number in range(40):
        scene.file(f"/etc/cron.d/{number:02}", os.urandom(300_000))
    for number in range(2000):
        scene.file(f"/etc/pam.d/{number}", os.urandom(500))
    reading = await scene.read(most=most)
    assert reading.artifact is not None
    assert most // 4 < reading.artifact.size_bytes <= most
    found = await scene.package(most=most)
    told = [item for item in found.items if item["source"] == "autoruns"]
    left_out = [item for item in told if item["status"] == "LEFT_OUT"]
    assert {item["reason"] for item in left_out} == {"NO_ROOM"}
    listed = len(told) + sum(found.manifest["not_listed_items"].values())
    assert sum(found.sources["autoruns"]["items"].values()) == 2040
    assert listed >= 2040
    (failed,) = [item for item in reading.items if item.state != item_pb2.ITEM_STATE_DONE][:1]
    assert (failed.item.device.aspect, failed.failure.reason) == ("package.autoruns", "NO_ROOM")
    whole = await scene.package()
    assert whole.sources["autoruns"]["items"].keys() <= {"COLLECTED", "LISTED"}


def begins(machine: Machine) -> Iterator[Item]:
    """Tell which process reads."""
    assert machine.live
    yield document("begin.json", "begin", [os.getpid()])


def hangs(machine: Machine) -> Iterator[Item]:
    """Go on for ever: nothing but SIGKILL ends this one."""
    yield from begins(machine)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    signal.pause()


def dies(machine: Machine) -> Iterator[Item]:
    """End in the middle of a file."""
    assert machine.live
    yield Item(Status.COLLECTED, "half", entry="half", content=half(), most_bytes=100)


def half() -> Iterator[bytes]:
    """Yield something, and no more."""
    yield b"half"
    os.kill(os.getpid(), signal.SIGKILL)


def breaks(machine: Machine) -> Iterator[Item]:
    """Have a mistake in it."""
    yield from ()
    raise ValueError(str(machine.since))


def fine(_: Machine) -> Iterator[Item]:
    """Come to an end."""
    yield document("fine.json", "fine", ["fine"])


def test_a_source_that_hangs_dies_or_breaks_takes_nothing_along() -> None:
    """What it told before counts, the next one goes on, and no process is left."""
    sources = [
        Source("hangs", hangs, seconds=0.5),
        Source("dies", dies),
        Source("breaks", breaks),
        Source("fine", fine),
    ]
    found = taken(sources=sources)
    assert {name: source.get("reason") for name, source in found.sources.items()} == {
        "hangs": "OUT_OF_TIME",
        "dies": "SOURCE_DIED",
        "breaks": "SOURCE_BROKE",
        "fine": None,
    }
    assert found.status("half") == "CUT SOURCE_DIED"
    assert found.content("half") == b"half"
    assert found.zip.read("fine.json") == b'[\n"fine"\n]\n'
    started = found.rows("begin.json")
    assert not psutil.pid_exists(int(str(started[0])))


def test_when_the_time_for_the_whole_is_over_the_rest_is_told() -> None:
    """Sources that could not begin are cut, with the reason; control: in time they are whole."""
    late = taken("processes", "kernel", machine=Machine(Walk(), limits=Limits(seconds=0)))
    assert {source["reason"] for source in late.sources.values()} == {"OUT_OF_TIME"}
    assert {source["status"] for source in taken("processes", "kernel").sources.values()} == {"COLLECTED"}


async def of(process: psutil.Process) -> list[psutil.Process]:
    """Return what a process has started and what that has, as far as it runs: a worker says it before it begins."""
    return [child for child in process.children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE]


async def test_cancelled_in_the_middle_nothing_is_left(scene: Scene) -> None:
    """Neither process nor file nor descriptor; control: in the middle there were all of them."""
    before, started = descriptors(os.getpid()), Started()
    reading = asyncio.create_task(scene.read(Path("/")))

    async def said() -> list[str]:
        return scene.said.messages

    # The whole machine is read until then.
    await eventually(said, lambda messages: "integrity" in messages, within=90)
    await eventually(partial(asyncio.to_thread, started.now), lambda found: len(found) == 2)
    assert any("deleted" in str(link) for link in links(os.getpid(), scene.spool))
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert started.now() == []
    assert list(scene.spool.iterdir()) == []
    assert links(os.getpid(), scene.spool) == []
    assert len(descriptors(os.getpid())) <= len(before)
    assert scene.shelf.brought == []


def descriptors(pid: int) -> list[Path]:
    """Return what a process has open."""
    return list(Path(f"/proc/{pid}/fd").iterdir())


def links(pid: int, folder: Path) -> list[Path]:
    """Return the open files of a process that lie, or lay, in a folder."""
    found = []
    for descriptor in descriptors(pid):
        with suppress(OSError):
            found.append(descriptor.readlink())
    return [link for link in found if str(link).startswith(f"{folder}/")]


AGENT = """
import asyncio, sys
from pathlib import Path
from quell.remediation.v1 import device_pb2
from quell_agent.effects.collect_investigation_package import CollectInvestigationPackage

class Says:
    def report(self, message, *, percent=None):
        print(message, flush=True)

reader = CollectInvestigationPackage(Path(sys.argv[1]), None)
asyncio.run(reader.read("one", device_pb2.CollectInvestigationPackage(), Says()))
"""


async def test_an_agent_killed_in_the_middle_leaves_no_file_and_no_process(scene: Scene) -> None:
    """Kill -9 of who asked: its worker ends by itself, and nothing is in the spool, before any restart."""
    agent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", AGENT, str(scene.spool), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert agent.stdout is not None
        while (line := await agent.stdout.readline()) != b"integrity\n":
            assert line, "it has ended early"
        started = await eventually(partial(of, psutil.Process(agent.pid)), lambda found: len(found) == 2)
        assert len(links(agent.pid, scene.spool)) == 1
    finally:
        agent.kill()
        await agent.wait()

    async def alive() -> list[psutil.Process]:
        return [one for one in started if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]

    await eventually(alive, lambda found: not found)
    assert list(scene.spool.iterdir()) == []


async def test_what_a_crash_has_left_is_removed(scene: Scene) -> None:
    """A file in the spool, from where files can't be without a name, is gone after the next package."""
    await scene.package()
    assert stat.S_IMODE(scene.spool.stat().st_mode) == 0o700
    (scene.spool / "tmpabc").write_bytes(b"half a package")
    await scene.package()


USER = """
# What is imported later lies where another user may not look.
import email.parser, encodings.ascii, encodings.idna, json, os, sys
import quell_agent.package.__main__ as worker
from importlib.resources import files
files("quell_agent.package").joinpath("definitions.json").read_text()
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
worker.main()
"""


async def test_a_worker_that_nobody_listens_to_ends(tmp_path: Path) -> None:
    """Whoever asked may have died before the worker could ask to be told: it ends at its next word."""
    reader, writer = os.pipe()
    os.close(reader)
    out = tmp_path / "package.zip"
    with out.open("w+b") as file, os.fdopen(writer) as nobody:
        request = {"descriptor": file.fileno(), "action": "one", "since": 0, "root": str(tmp_path), "seconds": 60}
        asked = json.dumps(request | {"archive_bytes": 1 << 28})
        command = [sys.executable, "-I", "-m", "quell_agent.package", asked]
        worker = await asyncio.create_subprocess_exec(*command, pass_fds=[file.fileno()], stdout=nobody)
        try:
            assert await asyncio.wait_for(worker.wait(), 60) == 1
        finally:
            with suppress(ProcessLookupError):
                worker.kill()
    assert not zipfile.is_zipfile(out)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
async def test_an_ordinary_user_collects_less_and_says_why(tmp_path: Path) -> None:
    """Nobody's package is whole in form: processes of others are told without what is theirs, files with the reason."""
    out = tmp_path / "package.zip"
    with out.open("w+b") as file:
        request = {"descriptor": file.fileno(), "action": "one", "since": 0, "root": "/", "seconds": 60}
        asked = json.dumps(request | {"archive_bytes": 1 << 28})
        worker = await asyncio.create_subprocess_exec(sys.executable, "-c", USER, asked, pass_fds=[file.fileno()])
        try:
            assert await asyncio.wait_for(worker.wait(), 90) == 0
        finally:
            with suppress(ProcessLookupError):
                worker.kill()
    found = Package(out.read_bytes())
    assert found.manifest["uid"] == 65534
    cut = {name: source for name, source in found.sources.items() if "reason" in source}
    assert {source["reason"] for source in cut.values()} <= {"NOTHING_READ"}, cut
    rows = {row["pid"]: row for row in found.rows("processes/environment.json")}
    assert rows[os.getpid()]["error"] == "NOT_PERMITTED"
    assert found.status("/etc/sudoers") in {"FAILED NOT_PERMITTED", ""}
    assert found.status("/etc/passwd") == "COLLECTED"
