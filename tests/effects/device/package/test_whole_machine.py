"""The package of the very machine that the test runs on: whole, true, and with what others would look for."""

import asyncio
import fnmatch
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import artifact_definitions
import psutil
import pytest

from package_world import Package, Scene
from quell_agent import files
from quell_agent.package.sources import SOURCES
from quell_agent.package.sources.definitions import SERVED_BY

ROOT = Path("/")
ENOUGH = 0.9
HOME = "%%users.homedir%%"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """Return this machine's package: one for all that only look at it."""
    return asyncio.run(Scene(tmp_path_factory.mktemp("whole")).package(ROOT))


def test_every_source_came_to_its_end(found: Package) -> None:
    """In their order, none cut, none broken."""
    assert list(found.sources) == [source.name for source in SOURCES]
    assert {name: source for name, source in found.sources.items() if source["status"] != "COLLECTED"} == {}


def test_the_manifest_and_the_archive_are_of_one_mind(found: Package) -> None:
    """Each entry is what the manifest says, and nothing else is there; what is not there has its reason."""
    told = {item["entry"]: item for item in found.items if "entry" in item}
    assert found.zip.testzip() is None
    assert len(found.zip.namelist()) == len(set(found.zip.namelist()))
    assert set(found.zip.namelist()) == {*told, "manifest.json"}
    for entry, item in told.items():
        content = found.zip.read(entry)
        assert (item["size"], item["sha256"]) == (len(content), hashlib.sha256(content).hexdigest()), entry
    for item in found.items:
        assert "path" in item or "command" in item
        assert item["status"] in {"COLLECTED", "LISTED"} or item["reason"], item
    assert found.manifest["not_listed_items"] == {}


def test_what_changes_soonest_was_read_first(found: Package) -> None:
    """Processes and network before files, the long walks last; the manifest closes the archive."""
    names = found.zip.namelist()
    first = [names.index(name) for name in ("processes/processes.json", "system/system.json", "files/etc/group")]
    assert first == sorted(first)
    assert names[0] == "processes/processes.json"
    assert names[-1] == "manifest.json"


def test_it_is_laid_out_the_same_each_time(scene: Scene) -> None:
    """Two packages of what did not change have the same entries in the same order, at the same dates."""
    for path in ("/etc/cron.d/b", "/etc/cron.d/a", "/root/.bashrc", "/etc/crontab"):
        scene.file(path, path)
    one, two = (asyncio.run(scene.package()) for _ in range(2))
    assert one.zip.namelist() == two.zip.namelist()
    assert {info.date_time for info in one.zip.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_this_process_is_there_as_it_is(found: Package) -> None:
    """Who runs what, under whom; of the environment no value that may be a credential."""
    ours = {row["pid"]: row for row in found.rows("processes/processes.json")}[os.getpid()]
    assert ours["exe"] == os.path.realpath(sys.executable)
    assert ours["sha256"] == hashlib.sha256(Path(sys.executable).read_bytes()).hexdigest()
    assert ours["Uid"].split()[0] == str(os.getuid())
    assert ours["PPid"] == str(os.getppid())
    assert ours["start_time"] == pytest.approx(psutil.Process().create_time(), abs=2)
    assert sys.executable in ours["command_line"][0] or "python" in ours["command_line"][0]
    variables = next(row["variables"] for row in found.rows("processes/environment.json") if row["pid"] == os.getpid())
    assert variables["PATH"] == os.environ["PATH"]
    mapped = {row["pid"]: row.get("files", {}) for row in found.rows("processes/mapped-files.json")}[os.getpid()]
    assert any("libc" in path for path in mapped)


@pytest.mark.skipif(shutil.which("ip", path="/usr/sbin:/usr/bin:/sbin:/bin") is None, reason="iproute2 is missing")
def test_the_network_is_as_another_program_sees_it(found: Package) -> None:
    """Interfaces, addresses, routes of every table and rules, compared with `ip`, which reads them by itself."""

    def said(*arguments: str) -> list[dict[str, object]]:
        done = subprocess.run(  # noqa: S603 - fixed
            ["ip", "-j", *arguments],  # noqa: S607 - wherever it is
            capture_output=True,
            check=True,
            timeout=20,
        )
        rows: list[dict[str, object]] = json.loads(done.stdout)
        return rows

    def told(name: str, field: str) -> set[object]:
        return {row.get(field) for row in found.rows(f"network/{name}.json")} - {None}

    assert told("interfaces", "name") == {row["ifname"] for row in said("link")}
    infos = [info for row in said("address") for info in row["addr_info"]]  # type: ignore[attr-defined]
    assert told("addresses", "address") >= {info["local"] for info in infos if "address" not in info}
    routes = said("route", "show", "table", "all")
    assert told("routes", "gateway") >= {row["gateway"] for row in routes if "gateway" in row}
    assert told("rules", "priority") >= {row["priority"] for row in said("rule") if row["priority"]}


def definitions() -> dict[str, list[tuple[str, str]]]:
    """Return what upstream defines for Linux: kind and pattern, or program, by name. Read by upstream's own reader."""
    wanted: dict[str, list[tuple[str, str]]] = {}
    for name, source in artifact_definitions.sources():
        if source.type_indicator in {"FILE", "PATH"}:
            wanted.setdefault(name, []).extend((source.type_indicator, path) for path in source.paths)
        elif source.type_indicator == "COMMAND":
            wanted.setdefault(name, []).append(("COMMAND", source.cmd))
    return wanted


def homes() -> list[str]:
    """Return every folder where a user may have something."""
    fields = [line.split(":")[5] for line in Path("/etc/passwd").read_text(encoding="utf-8").splitlines()]
    return sorted({home for home in fields if home != "/" and Path(home).is_dir()})


@cache
def real(path: str) -> str:
    """Return where a path leads but for its last name, as the manifest writes it."""
    parent, _, name = path.rpartition("/")
    place = f"{os.path.realpath(parent or '/').rstrip('/')}/{name}"
    place = os.path.realpath(place) if place.startswith("/sys/") else place
    return files.shown(re.sub(r"^/proc/(self|\d+)/", "/proc/1/", place.replace("/proc/mounts", "/proc/self/mounts")))


def existing(pattern: str) -> Iterator[str]:
    """Yield what a pattern means here, by Python's own globbing; `**N` is up to N levels."""
    for home in homes() if HOME in pattern else [""]:
        full = pattern.replace(HOME, home)
        if deep := re.search(r"\*\*(\d*)", full):
            for depth in range(1, int(deep[1] or 3) + 1):
                yield from glob.iglob(full.replace(deep[0], "/".join("*" * depth)), include_hidden=True)  # noqa: PTH207 - absolute
        else:
            yield from glob.iglob(full, include_hidden=True)  # noqa: PTH207 - absolute


def test_nine_of_ten_definitions_that_exist_here_are_collected(found: Package) -> None:
    """ForensicArtifacts' Linux definitions, each whole: measured against upstream's own list, not ours."""
    got = {item["path"] for item in found.items if item["status"] in {"COLLECTED", "CUT", "LISTED"} and "path" in item}
    served = {item.get("definition") for item in found.items}
    here, whole, paths, missed = 0, 0, set[str](), set[str]()
    for name, wanted in definitions().items():
        wants = {real(path) for kind, each in wanted if kind != "COMMAND" for path in existing(each)}
        wants = {path for path in wants if not fnmatch.fnmatch(path, "/proc/[0-9]*/task/*")}
        programs = [each for kind, each in wanted if kind == "COMMAND" and Path(each).exists()]
        if wants or programs:
            here += 1
            paths |= wants
            missed |= wants - got
            whole += wants <= got and (not programs or name in served)
    measured = f"definitions here {here}, whole {whole}; paths here {len(paths)}, missed {sorted(missed)}"
    assert here > 30
    assert whole >= ENOUGH * here, measured
    assert len(missed) <= (1 - ENOUGH) * len(paths), measured
    # Control: without the source that reads that list, far too little of it would be there.
    others = {item.get("path") for item in found.items if item["source"] != "definitions"}
    assert len(paths - others) > (1 - ENOUGH) * len(paths)


def test_our_list_is_the_one_of_the_locked_release() -> None:
    """What is stored is what the tool makes."""
    assert artifact_definitions.TARGET.read_text(encoding="utf-8") == artifact_definitions.made()
    assert set(SERVED_BY) <= set(definitions())
