"""Promise: a sample is the file, quarantined ones too, in an archive that nobody opens by accident."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import pyzipper

from device_journey import Journey
from device_page import Reader

pytestmark = pytest.mark.timeout(180)
DONE = "ACTION_STATE_SUCCEEDED"
PATH = "/opt/strange"


@pytest.mark.parametrize("way", ["act", "create", "request"])
def test_it_comes_as_it_is(journey: Journey, tmp_path: Path, way: str) -> None:
    """By command line, at the Action Center, at the device service: the same bytes, and the file is as it was."""
    digest = made(journey)
    before = look(journey)
    if way == "act":
        action = journey.act("request-sample", "--file", PATH)
    else:
        action = getattr(journey, way)("request_sample", file={"path": PATH})
    assert opened(journey, action, tmp_path) == digest
    assert look(journey) == before


def test_a_quarantined_one_comes_too(journey: Journey, tmp_path: Path) -> None:
    """By its content; it stays in quarantine. Where nothing has that content, there is no sample."""
    digest = made(journey)
    quarantined = journey.act("stop-and-quarantine", "--file", PATH)
    assert opened(journey, journey.act("request-sample", "--file", digest), tmp_path) == digest
    assert not look(journey)
    assert journey.undo(quarantined["name"])["state"] == DONE
    nothing = journey.act("request-sample", "--file", "ab" * 32)
    assert nothing["state"] == "ACTION_STATE_NOT_NEEDED", nothing
    assert "artifact" not in nothing["outcome"]


def made(journey: Journey) -> str:
    """Put a file of its own on the machine and return its SHA-256."""
    journey.on_machine(f"rm -f {PATH}; head -c 3000 /dev/urandom > {PATH}; chmod 4700 {PATH}")
    return journey.on_machine(f"sha256sum {PATH}").stdout.split()[0]


def look(journey: Journey) -> str:
    """Return what can be seen of it."""
    return journey.on_machine(f"stat -c '%i %A %U %y %z' {PATH}; sha256sum {PATH}", check=False).stdout


def opened(journey: Journey, action: Any, folder: Path) -> str:  # noqa: ANN401 - a document
    """Take a sample out, open it, and return the SHA-256 of what is in it."""
    assert action["state"] == DONE, action
    archive, artifact = folder / "zip", action["outcome"]["artifact"]["name"]
    journey.quell("artifacts", "get", artifact, "--to", str(archive), "--reason", "a journey")
    with pyzipper.AESZipFile(archive) as found:
        with pytest.raises(RuntimeError, match="password"):
            found.read("sample")
        found.setpassword(b"infected")
        return hashlib.sha256(found.read("sample")).hexdigest()


def test_the_page(journey: Journey) -> None:
    """Every line of its section does what is printed there."""
    Reader(journey).run("Request sample")
    assert journey.effects() == []
