"""Promise: on a restricted machine packaged programs start and strangers do not, until it is released."""

import pytest

from device_journey import Journey
from device_page import Reader

pytestmark = pytest.mark.timeout(180)
DONE = "ACTION_STATE_SUCCEEDED"
STRANGERS = "/usr/local/bin/stranger", "/opt/allowed/stranger"


@pytest.fixture(autouse=True)
def strangers(journey: Journey) -> None:
    """Put programs on the machine that no package brought."""
    for path in STRANGERS:
        journey.on_machine(f"mkdir -p $(dirname {path}); cp /bin/echo {path}; head -c 16 /dev/urandom >> {path}")


def starts(journey: Journey) -> list[bool]:
    """Tell what starts: a packaged program, and each stranger."""
    ran = [journey.on_machine(f"{path} hello", check=False) for path in ("/bin/echo", *STRANGERS)]
    assert all("not permitted" in each.stderr for each in ran if each.returncode)
    return [each.stdout == "hello\n" for each in ran]


def test_by_command_line_and_taken_back(journey: Journey) -> None:
    """Asked for by ann, approved by bob, undone; then the same, released by hand."""
    assert starts(journey) == [True, True, True]
    restricted = journey.act("restrict-code-execution")
    assert restricted["state"] == DONE
    assert (starts(journey), journey.effects()) == ([True, False, False], ["restrict_code_execution"])
    assert journey.undo(restricted["name"])["state"] == DONE
    assert (starts(journey), journey.effects()) == ([True, True, True], [])
    assert journey.act("restrict-code-execution")["state"] == DONE
    assert starts(journey) == [True, False, False]
    assert journey.act("release-code-execution")["state"] == DONE
    assert (starts(journey), journey.effects()) == ([True, True, True], [])


@pytest.mark.parametrize("first", ["request", "create"])
def test_by_grpcurl_with_a_folder_that_may(journey: Journey, first: str) -> None:
    """Asked for at one service and released at the other, each way round."""
    do, release = (journey.request, journey.create) if first == "request" else (journey.create, journey.request)
    assert do("restrict_code_execution", allowed_folders=["/opt/allowed"])["state"] == DONE
    assert starts(journey) == [True, False, True]
    assert release("release_code_execution")["state"] == DONE
    assert (starts(journey), journey.effects()) == ([True, True, True], [])


def test_what_others_could_change_is_not_allowed(journey: Journey) -> None:
    """Refused with its reason, and everything starts."""
    journey.on_machine("chmod 777 /opt/allowed")
    said = journey.refused("restrict-code-execution", "--allowed-folders", "/opt/allowed")
    journey.on_machine("chmod 755 /opt/allowed")
    assert "FOLDER_NOT_SAFE" in said
    assert (starts(journey), journey.effects()) == ([True, True, True], [])


def test_the_page(journey: Journey) -> None:
    """Every line of its section does what is printed there."""
    Reader(journey).run("Restrict code execution, release it")
    assert journey.effects() == []
