"""Promise: an isolated machine reaches us and nobody else, and after its release its rules are what they were."""

import pytest

from device_journey import WORLD, WORLD6, Journey
from device_page import Reader

pytestmark = pytest.mark.timeout(180)
DONE = "ACTION_STATE_SUCCEEDED"


def reached(journey: Journey) -> list[bool]:
    """Tell who is reached: the world, by both protocols, from the machine and to it; the machine's own loopback."""
    out = [f"ping -c1 -W1 {WORLD}", f"ping -c1 -W1 {WORLD6}", "ping -c1 -W1 127.0.0.1"]
    found = [journey.on_machine(way, check=False).returncode == 0 for way in out]
    return [*found, journey.in_world("ping -c1 -W1 10.91.2.1", check=False).returncode == 0]


def rules(journey: Journey) -> str:
    """Return the machine's rules."""
    return journey.on_machine("nft list ruleset").stdout


def test_by_command_line_and_taken_back(journey: Journey) -> None:
    """Asked for by ann, approved by bob; shown as in force; after undo it is as it was, byte for byte."""
    before = rules(journey)
    assert reached(journey) == [True, True, True, True]
    isolated = journey.act("isolate-device", "--mode", "full")
    assert isolated["state"] == DONE
    assert reached(journey) == [False, False, True, False]
    assert journey.effects() == ["isolate_device"]
    assert "isolate_device" in journey.quell("devices", "show", "lab-7").split("kind ")[0]
    assert journey.undo(isolated["name"])["state"] == DONE
    assert reached(journey) == [True, True, True, True]
    assert (rules(journey), journey.effects()) == (before, [])


def test_by_grpcurl_with_an_exclusion_and_released(journey: Journey) -> None:
    """Asked for at the device service, it leaves open what it says; released at the Action Center."""
    before = rules(journey)
    order = {"mode": "ISOLATION_MODE_SELECTIVE", "exclusions": [{"remotes": [WORLD], "ports": [8080]}]}
    with journey.listening(8080, 8081):
        ports = [f"timeout 2 bash -c '</dev/tcp/{WORLD}/{port}'" for port in (8080, 8081)]

        def open_ports() -> list[bool]:
            return [journey.on_machine(way, check=False).returncode == 0 for way in ports]

        assert open_ports() == [True, True]
        assert journey.request("isolate_device", **order)["state"] == DONE
        assert open_ports() == [True, False]
        assert journey.create("release_device_from_isolation")["state"] == DONE
        assert open_ports() == [True, True]
    assert (rules(journey), journey.effects()) == (before, [])


def test_by_command_line_and_released(journey: Journey) -> None:
    """Released by hand; asked for anew at the Action Center, and released at the device service."""
    before = rules(journey)
    assert journey.act("isolate-device", "--mode", "full")["state"] == DONE
    assert reached(journey)[0] is False
    assert journey.act("release-device-from-isolation")["state"] == DONE
    assert rules(journey) == before
    assert journey.create("isolate_device", mode="ISOLATION_MODE_FULL")["state"] == DONE
    assert reached(journey)[0] is False
    assert journey.request("release_device_from_isolation")["state"] == DONE
    assert rules(journey) == before


def test_nothing_happens_without_approval(journey: Journey) -> None:
    """What waits for people has changed nothing, and rejected it never will."""
    (asked,) = journey.documents("act", "isolate-device", "lab-7", "--mode", "full", "-m", "a journey")
    assert asked["state"] == "ACTION_STATE_PENDING_APPROVAL"
    assert reached(journey) == [True, True, True, True]
    (rejected,) = journey.documents("actions", "reject", asked["name"], "-m", "no", person="bob")
    assert rejected["state"] == "ACTION_STATE_REJECTED"
    assert journey.effects() == []


def test_the_page(journey: Journey) -> None:
    """Every line of its section does what is printed there."""
    Reader(journey).run("Isolate device, release it")
    assert journey.effects() == []
