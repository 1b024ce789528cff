"""Promise: a file in quarantine runs nowhere and starts nowhere, and is given back as it was, to the byte."""

from typing import Any

import pytest

from device_journey import Journey
from device_page import Reader

pytestmark = pytest.mark.timeout(180)
DONE = "ACTION_STATE_SUCCEEDED"
MINER, CRON = "/opt/evil/miner", "/etc/cron.d/miner"
CLEAR = "while pkill -x miner; do :; done; rm -rf /opt/evil"
LOOK = f"stat -c '%A %U %G %s %y' {MINER} {CRON}; sha256sum {MINER} {CRON}; getfattr -d {MINER} 2>/dev/null"


@pytest.fixture(autouse=True)
def miner(journey: Journey) -> None:
    """Have a program run from a file that cron would start again."""
    journey.on_machine(f"{CLEAR}; mkdir -p /opt/evil; cp /bin/sleep {MINER}; head -c 5000000 /dev/urandom >> {MINER}")
    journey.on_machine(f"chmod 4751 {MINER}; touch -d 2025-05-05 {MINER}; echo '*/5 * * * * root {MINER} 600' > {CRON}")
    run(journey)


def run(journey: Journey) -> None:
    """Start it."""
    journey.on_machine(f"setsid {MINER} 600 </dev/null >/dev/null 2>&1 & until pgrep -x miner; do :; done")


def running(journey: Journey) -> bool:
    """Tell whether it runs."""
    return journey.on_machine("pgrep -x miner", check=False).returncode == 0


def look(journey: Journey) -> str:
    """Return all that can be seen of both files; empty if the program is gone and cron does not name it."""
    if journey.on_machine(f"test -e {MINER} || grep -q '^[^#].*{MINER}' {CRON}", check=False).returncode:
        return ""
    return journey.on_machine(LOOK, check=False).stdout


def taken(journey: Journey, action: Any) -> None:  # noqa: ANN401 - a document
    """See that it was taken."""
    assert action["state"] == DONE
    assert (look(journey), running(journey), journey.effects()) == ("", False, ["stop_and_quarantine"])


def test_by_command_line_and_taken_back(journey: Journey) -> None:
    """Undo and release by hand both bring file and cron's line back; what ran stays ended."""
    before = look(journey)
    assert before
    assert running(journey)
    action = journey.act("stop-and-quarantine", "--file", MINER)
    taken(journey, action)
    assert journey.undo(action["name"])["state"] == DONE
    assert (look(journey), running(journey), journey.effects()) == (before, False, [])
    run(journey)
    action = journey.act("stop-and-quarantine", "--file", MINER)
    taken(journey, action)
    assert journey.act("release-from-quarantine", "--action", action["name"])["state"] == DONE
    assert (look(journey), journey.effects()) == (before, [])


@pytest.mark.parametrize("first", ["request", "create"])
def test_by_grpcurl_and_released(journey: Journey, first: str) -> None:
    """Asked for at one service and released at the other, by action and by content."""
    before = look(journey)
    digest = journey.on_machine(f"sha256sum {MINER}").stdout.split()[0]
    if first == "request":
        action = journey.request("stop_and_quarantine", file={"path": MINER})
        taken(journey, action)
        assert journey.create("release_from_quarantine", action=action["name"])["state"] == DONE
    else:
        taken(journey, journey.create("stop_and_quarantine", file={"sha256": digest}))
        assert journey.request("release_from_quarantine", sha256=digest)["state"] == DONE
    assert (look(journey), journey.effects()) == (before, [])


def test_a_packaged_program_is_never_taken(journey: Journey) -> None:
    """Even if people approve of it: refused with its reason, and it is there."""
    refused = journey.act("stop-and-quarantine", "--file", "/usr/bin/bash")
    assert (refused["state"], refused["failure"]["reason"]) == ("ACTION_STATE_FAILED", "PROTECTED")
    assert running(journey)
    journey.on_machine("test -x /usr/bin/bash")


def test_the_page(journey: Journey) -> None:
    """Every line of its section does what is printed there."""
    journey.on_machine(CLEAR)
    Reader(journey).run("Stop and quarantine, give back")
    assert journey.effects() == []
