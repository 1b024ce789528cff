"""Promise: whatever the command line is asked, programs and people get an answer that they can use."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from pathlib import Path

import pytest

from cli_house import CASE, ESCAPE, LINK, ask, started, submit, well
from house import QUELL, House, free_ports

pytestmark = pytest.mark.timeout(480)


def on_a_terminal(house: House, columns: int, *arguments: str) -> list[str]:
    """Run a command on a terminal of this width and return the lines that it printed, without their colours."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
    command: list[str | Path] = [QUELL, "--data", house.folder, *arguments]
    with subprocess.Popen(command, stdout=its, env=environment | {"TERM": "xterm"}) as process:  # noqa: S603
        os.close(its)
        shown = b""
        try:
            while block := os.read(ours, 4096):
                shown += block
        except OSError:  # nobody has the other end any more
            os.close(ours)
    assert process.returncode == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).splitlines()


def test_what_was_submitted_is_told_with_what_followed(house: House) -> None:
    """And why nothing did; the same again is the same."""
    assert submit(house, CASE).startswith("investigations/edr.case-1: PENDING_APPROVAL")
    shown = well(house, "investigations", "show", "case-1")
    assert re.search(r"suspicious url https://login.pay.test/verify +[0-9a-f]{8} *\n", shown)
    assert re.search(r"malicious file /opt/x .+ TARGET_UNRESOLVED: ", shown)
    assert re.search(r"no_threats_found url https://good.test/ +NO_THREAT: ", shown)


JSON_ANSWERS = [
    ("actions", "list"),
    ("actions", "list", "--all"),
    ("actions", "show", LINK),
    ("actions", "preview", LINK),
    ("why", LINK),
    ("investigations", "list"),
    ("investigations", "show", "case-1"),
    ("effects",),
    ("budgets",),
    ("devices", "list"),
    ("devices", "show", ""),
    ("policy", "show"),
    ("audit", "list", "--limit", "5"),
    ("audit", "verify"),
    ("urls", "check", "https://nobody.test/"),
]


@pytest.mark.parametrize("command", JSON_ANSWERS, ids=" ".join)
def test_programs_get_a_document_a_line_and_people_no_json(house: House, command: tuple[str, ...]) -> None:
    """Every command that answers."""
    # Ids of derived actions are made from what they derive from, so the link's is always the same.
    lines = well(house, "--json", *command).splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines)
    assert lines or command == ("effects",)
    assert not well(house, *command).startswith("{")


REFUSED: list[tuple[str, int, str, tuple[str, ...]]] = [
    ("ann", 3, "ACTION_UNKNOWN", ("actions", "show", "ffffffffffff")),
    ("ann", 3, "DEVICE_UNKNOWN", ("devices", "show", "nope")),
    ("ann", 3, "INVESTIGATION_UNKNOWN", ("investigations", "show", "nope")),
    ("ann", 3, "POLICY_UNKNOWN", ("policy", "show", "--version", "77")),
    ("ann", 2, "ID_AMBIGUOUS", ("investigations", "show", "case")),
    ("ann", 2, "FILTER_INVALID", ("actions", "list", "--filter", "colour = red")),
    ("ann", 2, "FIELD_INVALID", ("actions", "ask", '{"block_url": {"pattern": "no pattern"}}', "-m", "x")),
    ("nobody", 2, "NOT_SET_UP", ("actions", "list")),
    ("ann", 4, "NOT_PERMITTED", ("policy", "update", __file__, "-m", "x")),
    ("carol", 4, "NOT_FROZEN", ("unfreeze", "-m", "x")),
    ("edr", 4, "NOT_PERMITTED", ("actions", "list")),
]


@pytest.mark.parametrize(("person", "code", "reason", "command"), REFUSED)
def test_an_error_has_its_code_its_reason_and_what_to_do_next(
    house: House, person: str, code: int, reason: str, command: tuple[str, ...]
) -> None:
    """For people on stderr; for programs one line of JSON there."""
    ran = house.quell(*command, person=person)
    assert (ran.returncode, ran.stdout) == (code, "")
    assert f"({reason})\n" in ran.stderr
    assert re.search(r"^  next: \S", ran.stderr, re.MULTILINE)
    assert "Traceback" not in ran.stderr
    ran = house.quell("--json", *command, person=person)
    error = json.loads(ran.stderr)["error"]
    assert (ran.returncode, error["reason"]) == (code, reason)
    assert error["next"]


@pytest.mark.parametrize(
    "command",
    [
        ("actions", "ask", "/nowhere.json", "-m", "x"),
        ("actions", "ask", "{not json", "-m", "x"),
        ("actions", "ask", "{}", "-m", "x"),
        ("actions", "ask", '{"block_url": {"pattern": "a.test"}}', "-m", "x", "--revert-after", "soon"),
        ("actions", "ask", '{"block_url": {"pattern": "a.test"}}', "-m", "x", "--revert-after", "9999999d"),
        ("actions", "ask", '{"block_url": {"pattern": "a.test"}}'),
        ("actions", "list", "--limit", "0"),
        ("policy", "check", "/nowhere.yaml"),
        ("submit", "/dev/null"),
        ("--json", "actions", "approve", "00000000", "-m", "x"),
        ("make", "coffee"),
    ],
)
def test_wrong_use_is_told_and_asks_nobody(house: House, command: tuple[str, ...]) -> None:
    """Exit code 2, and how it is used."""
    ran = house.quell(*command)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "Usage: quell" in ran.stderr
    assert "Error: " in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_service_that_is_away_is_another_code(house: House, tmp_path: Path) -> None:
    """5: nothing was refused, so trying again may help."""
    config = tmp_path / "config"
    config.mkdir()
    text = (house.folder / "config" / "client.toml").read_text()
    (config / "client.toml").write_text(text.replace(f":{house.port}", f":{free_ports()}"))
    command: list[str | Path] = [QUELL, "--data", tmp_path, "actions", "list"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    assert ran.returncode == 5, ran.stderr
    assert "  next: is it running? quell up" in ran.stderr


def test_ids_can_be_shortened_and_a_whole_one_is_never_ambiguous(house: House) -> None:
    """`case-1` is one of two that begin so."""
    assert well(house, "investigations", "show", "case-1").startswith("investigations/edr.case-1 ")
    assert well(house, "investigations", "show", "edr.case-1").startswith("investigations/edr.case-1 ")
    short = ask(house, "short.test")
    assert well(house, "actions", "show", short).startswith(f"actions/{short}")
    assert well(house, "why", f"actions/{short}").startswith("block_url short.test: PENDING_APPROVAL\nasked for by ann")
    device = json.loads(well(house, "--json", "devices", "list"))
    for typed in (device["name"], device["name"].removeprefix("devices/")[:5], device["host_name"]):
        assert well(house, "devices", "show", typed).startswith(f"{device['name']} ")


def test_times_are_local_or_utc(house: House) -> None:
    """As asked for."""
    assert re.search(r" \d\d:\d\d:\d\dZ ", well(house, "--utc", "audit", "list"))
    assert re.search(r" \d\d:\d\d:\d\d ", well(house, "audit", "list"))


@pytest.mark.parametrize("what", ["actions", "investigations"])
def test_a_watch_ends_quietly_by_ctrl_c(house: House, what: str) -> None:
    """It tells what is, and then nothing more than that it was interrupted: exit code 130."""
    with started(house, what, "watch") as watching:
        assert watching.stdout is not None
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  \S+  ", watching.stdout.readline())
        watching.send_signal(signal.SIGINT)
        _, errors = watching.communicate(timeout=30)
    assert (watching.returncode, errors) == (130, "")


def test_a_narrow_terminal_gets_paragraphs(house: House) -> None:
    """No line is longer than the terminal is wide where that can be, and every id is whole."""
    action = ask(house, "narrow.test")
    assert any(line.startswith(f"{action}  block_url") for line in on_a_terminal(house, 80, "actions", "list"))
    assert all(len(line) <= 80 for line in on_a_terminal(house, 80, "actions", "list"))
    assert f"action: {action}" in on_a_terminal(house, 40, "actions", "list")


def test_texts_from_elsewhere_move_no_cursor(house: House) -> None:
    """Escape sequences and marks that turn text round are written out."""
    action = well(house, "actions", "ask", json.dumps({"block_url": {"pattern": "escape.test"}}), "-m", f"see{ESCAPE}")[
        :8
    ]
    for shown in (
        well(house, "actions", "show", action),
        well(house, "why", action),
        well(house, "investigations", "list"),
        well(house, "investigations", "show", "case-10"),
    ):
        assert "\\x1b[2J\\u202egnp.exe" in shown
        assert "\x1b" not in shown
        assert "\u202e" not in shown


def test_more_than_the_limit_is_told(house: House) -> None:
    """Rather than cut in silence."""
    ask(house, "one.test")
    ran = house.quell("actions", "list", "--all", "--limit", "1")
    assert "--limit shows more" in ran.stderr
    assert "--limit" not in house.quell("actions", "list", "--all", "--limit", "1000").stderr
