"""Promise: a package tells what there is on the machine, whole or with the reason, and changes nothing."""

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from device_journey import Journey
from device_machine import NAME
from device_page import Reader

pytestmark = pytest.mark.timeout(300)
MIB = 1 << 20


HASH = "a-secret-of-7"


def test_the_page(journey: Journey) -> None:
    """Every line of its section does what is printed; a process is told, and of a secret only that it is there."""
    journey.on_machine("setsid sleep 437 </dev/null >/dev/null 2>&1 & disown")
    journey.on_machine(f"echo 'spy:{HASH}:20000::::::' >> /etc/shadow")
    Reader(journey).run("Collect investigation package")
    known = [each["artifact"]["sha256"] for each in journey.documents("artifacts", "list")]
    taken_out = [journey.folder / name for name in ("again.zip", "package.zip")]
    assert [hashlib.sha256(path.read_bytes()).hexdigest() for path in taken_out] == known[:2]
    for path in taken_out:
        whole(path)


def whole(path: Path) -> None:
    """See that a package tells the machine's name, a process and that there is a secret, and not the secret."""
    with zipfile.ZipFile(path) as package:
        assert package.testzip() is None
        text = b"".join(map(package.read, package.namelist()))
        items = json.loads(package.read("manifest.json"))["items"]
    assert NAME.encode() in text
    assert b"sleep 437" in text.replace(b'", "', b" ")
    assert HASH.encode() not in text
    assert {each["reason"] for each in items if each.get("path") == "/etc/shadow"} == {"SECRET"}


def test_by_grpcurl_and_small(journey: Journey, tmp_path: Path) -> None:
    """At the device service. What has no room is told, and the action says that it is not whole."""
    action = journey.request("collect_investigation_package", max_size_bytes=MIB, log_window="60s")
    assert action["state"] == "ACTION_STATE_PARTIALLY_SUCCEEDED", action
    path, artifact = tmp_path / "zip", action["outcome"]["artifact"]["name"]
    journey.quell("artifacts", "get", artifact, "--to", str(path), "--reason", "a journey")
    assert path.stat().st_size <= MIB
    with zipfile.ZipFile(path) as package:
        assert b"NO_ROOM" in package.read("manifest.json")


def test_by_grpcurl_and_called_off(journey: Journey) -> None:
    """At the Action Center. It ends at once, brings nothing in, and leaves nothing on the machine."""
    asked = journey.created("collect_investigation_package")
    known = len(journey.documents("artifacts", "list"))
    journey.quell("actions", "cancel", asked["name"], "-m", "enough")
    assert journey.ended(asked)["state"] == "ACTION_STATE_CANCELED"
    assert len(journey.documents("artifacts", "list")) == known
    assert journey.on_machine("ls -A /var/lib/quell-agent/package").stdout == ""
