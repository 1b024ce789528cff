"""Promise: the demo runs the main job on real input, says what is so, and leaves nothing running; twice in a row."""

import os
import pty
import re
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from house import QUELL, free_ports

pytestmark = pytest.mark.timeout(240)
COLOUR = re.compile("\x1b\\[[0-9;]*m")
TRUE_OF_EVERY_RUN = (
    "found {sandbox}/home/ann/Downloads/invoice-viewer: quell_demo_malware",
    "found {sandbox}/home/bob/bin/updater: quell_demo_malware",
    "2 of 2 copies are gone; process: stopped",
    "undo soft_delete_messages: SUCCEEDED",
    "in the mailboxes: 3 messages are gone from ann@example.org, bob@example.org, cleo@example.org",
    "the other 12 are untouched",
    "BLOCKED; a click on it answers 403",
    "REMEDIATED",
    "invoice-viewer: bytes, owner, mode, times and attributes as before",
    "updater: bytes, owner, mode, times and attributes as before",
    "notes.scr: bytes, owner, mode, times and attributes as before",
    "mail: folders, flags, keywords, dates and bytes as before",
    "ALLOWED; a click on it answers 302 Found to https://login.example-payments.test/verify?account=1",
    "effects in force: 0",
    "the chain holds",
    "nothing is left running",
)


def test_twice_in_a_row(tmp_path: Path) -> None:
    """Every promise of the demo is in what it read back, each time."""
    port = free_ports()
    for _ in range(2):
        ran = subprocess.run(  # noqa: S603
            [QUELL, "demo", "--yes", "--port", str(port)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        for expected in TRUE_OF_EVERY_RUN:
            line = expected.format(sandbox=tmp_path / ".quell" / "demo" / "sandbox")
            assert line in ran.stdout, f"{line!r} is not in\n{ran.stdout}\n{ran.stderr}"
        assert left_in(tmp_path) == []


def test_what_to_try_next_works_as_printed_and_ctrl_c_ends_all(tmp_path: Path) -> None:
    """On a terminal it waits at the end; the printed lines work then, and Ctrl-C leaves nothing running."""
    terminal, other_end = pty.openpty()
    demo = subprocess.Popen(  # noqa: S603
        [QUELL, "demo", "--port", str(free_ports())],
        cwd=tmp_path,
        stdin=other_end,
        stdout=other_end,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    os.close(other_end)
    seen = ""
    while "until you press Enter." not in seen:
        seen = COLOUR.sub("", seen + os.read(terminal, 65536).decode())
        if seen.endswith("[Enter] ") and "until you press Enter." not in seen:
            os.write(terminal, b"\n")
    lines = re.findall(r"^  (\S*(?:quell|grpcurl) .*?)\r?$", seen, re.MULTILINE)
    assert len([line for line in lines if "grpcurl" in line]) == 1
    assert len(lines) == 4
    for line in lines:
        tried = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S602
        assert tried.returncode == 0, line + tried.stderr
        assert tried.stdout
    demo.send_signal(signal.SIGINT)
    assert demo.wait(timeout=60) == 130
    os.close(terminal)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("after", ["email is ready", "2. ", "4. "])
def test_ctrl_c_at_any_point_leaves_nothing_running(tmp_path: Path, after: str) -> None:
    """Whenever it is pressed."""
    demo = subprocess.Popen(  # noqa: S603
        [QUELL, "demo", "--yes", "--port", str(free_ports())],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert demo.stdout is not None
    for line in demo.stdout:
        if after in line:
            break
    demo.send_signal(signal.SIGINT)
    demo.stdout.read()
    demo.stdout.close()
    assert demo.wait(timeout=60) == 130
    assert left_in(tmp_path) == []


def left_in(folder: Path) -> list[str]:
    """Return the command lines of processes that still work in a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if str(folder) in command and process.pid != os.getpid() and "pytest" not in command:
            found.append(command)
    return found
