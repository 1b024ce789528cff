"""Promise: a scan tells what the rules know, where it lies and what it is, and changes nothing."""

from typing import Any

import pytest

from device_journey import RULES, Journey
from device_page import Reader

pytestmark = pytest.mark.timeout(180)
DONE = "ACTION_STATE_SUCCEEDED"
FOLDER = "/opt/scanned"


@pytest.fixture(autouse=True)
def files(journey: Journey) -> None:
    """Put two files on the machine, and a rule that knows one of them."""
    rule = 'rule seven { strings: $a = "bad-content-7" condition: $a }'
    journey.on_machine(
        f"mkdir -p {RULES} {FOLDER}; echo '{rule}' > {RULES}/seven.yar; "
        f"echo bad-content-7 > {FOLDER}/bad; echo good > {FOLDER}/good"
    )


def found(journey: Journey, action: Any) -> list[str]:  # noqa: ANN401 - a document
    """Return the paths that a scan has found."""
    assert action["state"] == DONE, action
    items = [each["item"] for each in journey.documents("actions", "show", action["name"]) if "item" in each]
    return [str(each["finding"]["file"]["path"]) for each in items]


@pytest.mark.parametrize("way", ["act", "create", "request"])
def test_what_is_known_is_found(journey: Journey, way: str) -> None:
    """By command line, at the Action Center, at the device service; without the bad file nothing is found."""

    def scan() -> Any:  # noqa: ANN401 - a document
        if way == "act":
            return journey.act("run-antivirus-scan", "--paths", FOLDER)
        return getattr(journey, way)("run_antivirus_scan", paths={"paths": [FOLDER]})

    assert found(journey, scan()) == [f"{FOLDER}/bad"]
    journey.on_machine(f"rm {FOLDER}/bad")
    assert found(journey, scan()) == []


def test_the_page(journey: Journey) -> None:
    """Every line of its section does what is printed there."""
    Reader(journey).run("Run antivirus scan")
    assert journey.effects() == []
