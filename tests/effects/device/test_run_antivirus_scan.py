"""A scan finds what its rules know, passes over what is no file, and can be stopped."""

import asyncio
import gzip
import os
import pwd
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import psutil
import pytest
from quell.remediation.v1 import device_pb2, item_pb2

from eventually import eventually
from quarantine_world import Said, digests
from quell_agent import scan
from quell_agent.effects.run_antivirus_scan import RunAntivirusScan
from quell_agent.scan import Rules
from quell_agent.scan_places import files_in, places
from quell_agent.scan_workers import Workers
from quell_executor.contract import ACTION
from quell_executor.effect import Reading, RefusedError
from started import Started

MARKER = b"QUELL-DEMO-MARKER-this-file-is-harmless"
EXAMPLE = Path(__file__).parents[3] / "examples/rules/quell_demo.yar"
pytestmark = pytest.mark.skipif(bool(scan.missing()) and "CI" not in os.environ, reason="yara-x is not installed")


class Scene:
    """A folder of rules and a folder to scan."""

    def __init__(self, folder: Path) -> None:
        """Begin with the rule of the examples."""
        self.rules, self.cache, self.box = folder / "rules", folder / "cache", folder / "box"
        self.rules.mkdir()
        self.box.mkdir()
        shutil.copy(EXAMPLE, self.rules)
        self.said = Said()
        self.clamd: tuple[str, ...] = ()
        self.started = Started()

    def file(self, name: str, content: bytes) -> Path:
        """Make a file."""
        path = self.box / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    async def scan(self, *paths: Path, percent: int = 200) -> Reading:
        """Scan paths, or all of it."""
        scope = device_pb2.PathScan(paths=map(str, paths or (self.box,)))
        order = device_pb2.RunAntivirusScan(paths=scope, cpu_percent=percent)
        return await RunAntivirusScan(Rules(self.rules, self.cache), self.clamd).read(ACTION, order, self.said)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """Return the folders."""
    return Scene(tmp_path)


async def test_the_marker_is_found_and_all_is_counted(scene: Scene) -> None:
    """One file of many, with its digest; control: without the marker nothing is found."""
    for number in range(40):
        scene.file(f"deep/{number % 3}/{number}", os.urandom(100))
    nothing = await scene.scan()
    assert (nothing.items, nothing.scan and nothing.scan.scanned_files) == ((), 40)
    bad = scene.file("deep/1/bad", b"x" * 5000 + MARKER)
    found = await scene.scan()
    assert found.scan is not None
    assert (found.scan.scanned_files, found.scan.skipped_files, len(found.scan.signature_version)) == (41, 0, 64)
    (item,) = found.items
    assert item.state == item_pb2.ITEM_STATE_DONE
    assert item.item.finding.signature == "quell_demo_marker"
    assert (item.item.finding.file.path, item.item.finding.file.size_bytes) == (str(bad), 5000 + len(MARKER))
    assert item.item.finding.file.sha256 == digests(bad).sha256
    assert (item.item.finding.engine, item.item.finding.owner) == ("yara", pwd.getpwuid(os.geteuid()).pw_name)
    assert scene.said.messages[-1] == "41 of 41 files, 1 findings"
    assert scene.started.now() == []


async def test_what_is_no_plain_file_is_passed_over(scene: Scene) -> None:
    """Pipes, links, sparse giants, folders that can't be entered: none is read, none holds the scan up."""
    os.mkfifo(scene.box / "pipe")
    scene.file("real", MARKER)
    (scene.box / "link").symlink_to(scene.box / "real")
    (scene.box / "loop").symlink_to(scene.box)
    os.truncate(scene.file("giant", b""), 1 << 40)
    scene.file("empty", b"")
    found = await scene.scan()
    assert found.scan is not None
    assert [item.item.finding.file.path for item in found.items] == [str(scene.box / "real")]
    assert (found.scan.scanned_files, found.scan.skipped_files) == (2, 1)
    assert list(files_in(["/proc/self", "/sys/kernel", "/dev/null"])) == []


async def test_a_bad_rule_file_is_left_out_and_told(scene: Scene) -> None:
    """The others still count; if none is left the scan is refused; the version changes with the rules."""
    first = await scene.scan()
    (scene.rules / "broken.yar").write_text("rule x { condition: nonsense }")
    (scene.rules / "include.yar").write_text('include "/etc/passwd"')
    scene.file("bad", MARKER)
    second = await scene.scan()
    assert len(second.items) == 1
    assert "2 rule files left out" in scene.said.messages[-1]
    assert second.scan is not None
    assert {left.name for left in second.scan.left_out} == {"broken.yar", "include.yar"}
    assert first.scan is not None
    assert first.scan.signature_version != second.scan.signature_version
    (scene.rules / EXAMPLE.name).unlink()
    with pytest.raises(RefusedError) as refusal:
        await scene.scan()
    assert refusal.value.failure.reason == "RULES_MISSING"


async def test_a_rule_file_that_ends_the_compiler_is_left_out(scene: Scene) -> None:
    """One that costs more than may be has its process killed; the next does without it."""
    rules = (f"rule c{i} {{ strings: $a = /a{i}.{{1,100}}b{i}/ condition: $a }}" for i in range(30_000))
    (scene.rules / "costly.yar").write_text("\n".join(rules))
    found = await Rules(scene.rules, scene.cache, seconds=1).compiled()
    assert found.bad == {"costly.yar": "it takes too much to compile"}
    assert found.path.exists()


async def test_a_rule_file_that_holds_the_compiler_up_is_left_out(scene: Scene) -> None:
    """One that costs nothing and gives no end: nobody writes to this pipe. The process is ended, the others count."""
    os.mkfifo(scene.rules / "held.yar")
    scene.file("bad", MARKER)
    rules = Rules(scene.rules, scene.cache, seconds=1)
    assert (await rules.compiled()).bad == {"held.yar": "it takes too much to compile"}
    assert scene.started.now() == []
    assert len((await scene.scan()).items) == 1


async def test_a_compiler_that_never_gets_to_its_files_is_refused(scene: Scene) -> None:
    """Without any time it says nothing; it is ended, and nothing is left for the next."""
    with pytest.raises(RefusedError) as refusal:
        await Rules(scene.rules, scene.cache, seconds=0).compiled()
    assert refusal.value.failure.reason == "RULES_INVALID"
    assert scene.started.now() == []
    assert (await Rules(scene.rules, scene.cache).compiled()).bad == {}


async def test_a_rule_that_finds_everything_stops_counting(scene: Scene) -> None:
    """It is told, and the good rule's finding stays; control: on few files it counts."""
    (scene.rules / "broad.yar").write_text("rule broad { condition: filesize > 0 }")
    scene.file("bad", MARKER)
    few = await scene.scan()
    assert {item.item.finding.signature for item in few.items} == {"broad", "quell_demo_marker"}
    for number in range(300):
        scene.file(str(number), b"x")
    many = await scene.scan()
    assert [item.item.finding.signature for item in many.items] == ["quell_demo_marker"]
    assert many.scan is not None
    assert [(left.name, left.reason) for left in many.scan.left_out] == [
        ("broad", "it finds more than 10 % of all files")
    ]


@pytest.mark.skipif(not Path("/var/lib/dpkg/status").exists(), reason="not a Debian: no lists of packages")
async def test_a_rule_that_finds_packaged_programs_stops_counting(scene: Scene) -> None:
    """The accident that security products are remembered for."""
    (scene.rules / "broad.yar").write_text("rule broad { condition: uint32(0) == 0x464c457f }")
    scene.file("bad", MARKER)
    shutil.copy("/usr/bin/env", scene.box)
    programs = [Path("/usr/bin", name) for name in ("env", "tail", "head", "sort", "tr")]
    found = await scene.scan(scene.box, *programs)
    assert [item.item.finding.signature for item in found.items] == ["quell_demo_marker"]
    assert found.scan is not None
    assert found.scan.left_out[0].name == "broad"
    alone = await scene.scan(scene.box)
    assert {item.item.finding.signature for item in alone.items} == {"broad", "quell_demo_marker"}


async def test_archives_are_read_and_bombs_told(scene: Scene) -> None:
    """The finding names archive and member; what was not read to its end is counted."""
    with zipfile.ZipFile(scene.box / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("docs/harmless", b"x")
        archive.writestr("docs/evil", MARKER + bytes(100))
    (scene.box / "bomb.gz").write_bytes(gzip.compress(bytes(64 << 20)))
    found = await scene.scan()
    (item,) = found.items
    assert item.item.finding.file.path == str(scene.box / "a.zip")
    assert item.item.finding.file.sha256 == digests(scene.box / "a.zip").sha256
    assert item.item.finding.member == "docs/evil"
    assert found.scan is not None
    assert (found.scan.scanned_files, found.scan.cut_archives) == (2, 1)


async def test_files_that_vanish_are_no_error(scene: Scene) -> None:
    """Counted first and gone when their turn comes: passed over."""
    paths = [str(scene.file(str(number), b"x")) for number in range(50)]
    rules = await Rules(scene.rules, scene.cache).compiled()
    for path in paths[::2]:
        os.unlink(path)  # noqa: PTH108 - as given
    async with Workers(rules.path, 100) as started:
        seen = [each async for each in started.seen(iter(paths))]
    assert (len(seen), sum(each.read for each in seen)) == (50, 25)


MOUNTED = """
import os, subprocess, sys
from quell_agent.scan_places import _mounts_below, files_in
box = sys.argv[1]
for name in ("real", "again", "memory"):
    os.mkdir(f"{box}/{name}")
open(f"{box}/real/file", "w").close()
subprocess.run(["mount", "--bind", f"{box}/real", f"{box}/again"], check=True)
subprocess.run(["mount", "-t", "tmpfs", "none", f"{box}/memory"], check=True)
subprocess.run(["mount", "--bind", box, f"{box}/real"], check=True)
open(f"{box}/memory/file", "w").close()
assert {f"{box}/again", f"{box}/real"}.isdisjoint(_mounts_below("/")), "read twice"
assert f"{box}/memory" in _mounts_below("/")
found = sorted(files_in([box]))
assert {f"{box}/again/file", f"{box}/memory/file"} <= set(found), found
assert len(found) < 10, "a loop"
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="makes a mount namespace: needs root")
def test_what_is_mounted_again_is_no_loop(tmp_path: Path) -> None:
    """A folder mounted into itself ends; from the top, what is read already is not read by another name."""
    command = ["unshare", "-m", sys.executable, "-c", MOUNTED, str(tmp_path)]
    subprocess.run(command, check=True, timeout=60)  # noqa: S603 - ours


async def test_rules_are_compiled_once(scene: Scene) -> None:
    """The second scan finds them compiled, until they change."""
    await scene.scan()
    (compiled,) = scene.cache.glob("*.yarc")
    made = compiled.stat().st_mtime_ns
    await scene.scan()
    assert [path.stat().st_mtime_ns for path in scene.cache.glob("*.yarc")] == [made]
    (scene.rules / "more.yar").write_text("rule more { condition: false }")
    await scene.scan()
    assert [path.name for path in scene.cache.glob("*.yarc")] != [compiled.name]


async def test_cancelled_it_ends_at_once_with_its_workers(scene: Scene) -> None:
    """A slow scan is stopped in the middle: no process is left."""
    for number in range(400):
        scene.file(str(number), os.urandom(200_000))
    scanning = asyncio.create_task(scene.scan(percent=2))

    async def said() -> list[str]:
        return scene.said.messages

    await eventually(said, lambda messages: len(messages) > 2)
    assert len(scene.started.now()) == 1
    scanning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await scanning
    assert scene.started.now() == []


async def test_a_killed_worker_is_replaced(scene: Scene) -> None:
    """The files that it had are read by the next."""
    for number in range(200):
        scene.file(str(number), os.urandom(50_000))
    scene.file("199x", MARKER)
    scanning = asyncio.create_task(scene.scan(percent=5))

    async def alive() -> list[psutil.Process]:
        return [worker for worker in scene.started.now() if "scan" in worker.cmdline()]

    (worker,) = await eventually(alive, lambda found: len(found) == 1)
    worker.kill()
    found = await scanning
    assert found.scan is not None
    assert len(found.items) == 1
    assert found.scan.scanned_files == 201


def test_quick_means_what_runs_and_where_anybody_writes() -> None:
    """Programs that run, start-up places, folders open to all."""
    quick = places(device_pb2.RunAntivirusScan(quick=device_pb2.QuickScan()))
    assert os.path.realpath(sys.executable) in map(os.path.realpath, quick)
    assert {"/tmp", "/var/tmp", "/etc/cron.d"} <= set(quick)  # noqa: S108 - names to look for
    assert places(device_pb2.RunAntivirusScan(full=device_pb2.FullScan())) == ["/"]


def test_the_agent_itself_never_loads_yara() -> None:
    """Importing the process with all its effects leaves YARA and pydantic out."""
    code = "import sys, quell_agent.__main__; print({'yara_x', 'pydantic'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)  # noqa: S603 - ours
    assert said.stdout == b"set()\n"
