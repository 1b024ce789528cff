"""Promise: a sample that is asked for by command line comes from the machine to a file, once, through any break."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import psutil
import pytest
import pyzipper

from house import House, free_ports, up
from quell_agent import sample_archive

MIB = 1 << 20
T = TypeVar("T")
pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(sample_archive.missing()) and "CI" not in os.environ, reason="pyzipper is not installed"),
]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Return a running deployment."""
    with up(tmp_path_factory.mktemp("sample") / "house", free_ports()) as found:
        yield found


def well(house: House, *arguments: str) -> str:
    """Run a command that succeeds and return what it printed."""
    ran = house.quell(*arguments)
    assert ran.returncode == 0, ran.stderr + ran.stdout
    return ran.stdout


def documents(house: House, *arguments: str) -> list[dict[str, object]]:
    """Run a command that succeeds and return its answer's documents."""
    return [json.loads(line) for line in well(house, "--json", *arguments).splitlines()]


def device(house: House) -> str:
    """Return the machine's id."""
    (found,) = documents(house, "devices", "list")
    return str(found["name"]).removeprefix("devices/")


def stored(house: House) -> list[dict[str, str]]:
    """Return the artifacts that are stored."""
    return [each["artifact"] for each in documents(house, "artifacts", "list")]  # type: ignore[misc]


def ask(house: House, path: Path) -> None:
    """Ask for a sample and wait for its end."""
    well(house, "act", "request-sample", device(house), "--file", str(path), "-m", "what is it?", "--wait")


def opened(archive: Path) -> bytes:
    """Open a sample with the password that everybody knows."""
    with pyzipper.AESZipFile(archive) as found:
        found.setpassword(b"infected")
        raw: bytes = found.read("sample")
    return raw


def test_a_sample_comes_from_the_machine_to_a_file(house: House, tmp_path: Path) -> None:
    """Asked for, listed, taken out and opened; who took it is in the audit log; asked again, it is not sent again."""
    path = tmp_path / "evil"
    path.write_bytes(os.urandom(3 * MIB))
    ask(house, path)
    (artifact,) = stored(house)
    target = tmp_path / "evil.zip"
    well(house, "artifacts", "get", artifact["name"], "--to", str(target), "--reason", "to look at it")
    assert hashlib.sha256(target.read_bytes()).hexdigest() == artifact["sha256"]
    assert target.stat().st_mode & 0o077 == 0
    assert opened(target) == path.read_bytes()
    entries = house.quell("--json", "audit", "list", "--filter", "event = artifact_downloaded", person="carol")
    (entry,) = [json.loads(line) for line in entries.stdout.splitlines()]
    assert (entry["actor"], entry["resource"]) == ("ann", artifact["name"])
    assert "to look at it" in well(house, "audit", "list", "--filter", "event = artifact_downloaded")
    ask(house, path)
    assert [each["name"] for each in stored(house)] == [artifact["name"]]
    again = house.quell("artifacts", "get", artifact["name"], "--to", str(target), "--reason", "again")
    assert (again.returncode, "FILE_TAKEN" in again.stderr) == (4, True)


def test_a_download_goes_on_where_it_was_broken_off(house: House, tmp_path: Path) -> None:
    """What came is kept; if it is not the beginning of the artifact, nothing gets its name."""
    path = tmp_path / "half"
    path.write_bytes(os.urandom(2 * MIB))
    ask(house, path)
    artifact = stored(house)[0]
    whole, target = tmp_path / "whole", tmp_path / "target"
    well(house, "artifacts", "get", artifact["name"], "--to", str(whole), "-m", "x")
    part = tmp_path / f"target.{artifact['sha256'][:12]}.part"
    part.write_bytes(b"!" * MIB)
    broken = house.quell("artifacts", "get", artifact["name"], "--to", str(target), "-m", "x")
    assert (broken.returncode, "DIGEST_MISMATCH" in broken.stderr) == (2, True)
    assert not target.exists()
    part.write_bytes(whole.read_bytes()[:MIB])
    well(house, "artifacts", "get", artifact["name"], "--to", str(target), "-m", "x")
    assert target.read_bytes() == whole.read_bytes()
    assert not part.exists()


def test_a_service_that_is_killed_in_the_middle_loses_nothing(house: House, tmp_path: Path) -> None:
    """Killed when some parts are stored; started again, it takes the rest, and what is given out is whole."""
    path = tmp_path / "large"
    path.write_bytes(os.urandom(48 * MIB))
    folder = house.folder / "device/artifacts"
    before = set(folder.iterdir())
    (asked,) = documents(house, "act", "request-sample", device(house), "--file", str(path), "-m", "what is it?")
    (mine,) = until(lambda: set(folder.iterdir()) - before)
    until(lambda: len(list(mine.iterdir())) > 4)
    config = str(house.folder / "config/device.toml")
    (service,) = [each for each in psutil.process_iter(["cmdline"]) if config in (each.info["cmdline"] or [])]
    service.kill()
    service.wait(30)
    assert len(list(mine.iterdir())) < 48
    until(lambda: house.quell("artifacts", "list").returncode == 0)
    name = str(asked["name"])
    until(lambda: documents(house, "actions", "show", name)[0]["state"] == "ACTION_STATE_SUCCEEDED")
    artifact = stored(house)[0]
    well(house, "artifacts", "get", artifact["name"], "--to", str(tmp_path / "zip"), "-m", "x")
    assert opened(tmp_path / "zip") == path.read_bytes()


def until(look: Callable[[], T]) -> T:
    """Look again and again until there is something to see."""
    end = time.monotonic() + 60
    while not (seen := look()):
        assert time.monotonic() < end, "nothing came of it"
        os.sched_yield()
    return seen
