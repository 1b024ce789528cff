"""Promise: a machine that leaves our care is let go whole: nothing in force, no agent, no way back but enrolment."""

import time
from collections.abc import Iterator

import pytest

import device_journey
from device_journey import WORLD, Journey
from device_page import Reader

pytestmark = pytest.mark.timeout(180)
DONE = "ACTION_STATE_SUCCEEDED"


@pytest.fixture(scope="module")
def leaving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """Return a deployment and a machine of its own, which leaves."""
    if why := device_journey.missing():
        pytest.skip(why)
    with device_journey.journey(tmp_path_factory.mktemp("leaving")) as found:
        yield found


def test_it_leaves_and_comes_back_as_another(leaving: Journey) -> None:
    """Isolated it is refused, unless that is lifted, as the page has it; anew, it leaves again, asked by grpcurl."""
    rules = leaving.on_machine("nft list ruleset").stdout
    assert leaving.act("isolate-device", "--mode", "full")["state"] == DONE
    assert "EFFECTS_IN_FORCE" in leaving.refused("offboard-machine")
    assert agents(leaving) > 0
    Reader(leaving).run("Offboard machine")
    gone(leaving)
    assert leaving.on_machine("nft list ruleset").stdout == rules
    leaving.on_machine(f"ping -c1 -W1 {WORLD}")
    second = leaving.enrolled_anew()
    assert second.device != leaving.device
    assert second.act("restrict-code-execution")["state"] == DONE
    assert second.create("offboard_machine", release_first=True)["state"] == DONE
    gone(second)
    third = second.enrolled_anew()
    assert third.request("offboard_machine")["state"] == DONE
    gone(third)


def gone(journey: Journey) -> None:
    """See that nothing of the agent is left but its vault, and that it can't be asked for anything any more."""
    eventually_none(journey)
    left = journey.on_machine(f"ls -A {journey.data}").stdout.split()
    assert {"identity.pem", "journal.db", "home.json", "talker"}.isdisjoint(left)
    assert journey.effects() == []
    device = journey.device.rpartition("/")[2]
    assert journey.at_desk(f"quell act run-antivirus-scan {device} --quick -m x", check=False).returncode != 0


def eventually_none(journey: Journey) -> None:
    """Wait until no process of the agent is left."""
    end = time.monotonic() + 20
    while agents(journey):
        assert time.monotonic() < end, journey.on_machine("ps axf").stdout


def agents(journey: Journey) -> int:
    """Return how many processes of the agent there are."""
    return int(journey.on_machine("pgrep -fc '[m] quell_agent' || true").stdout)
