"""A deployment with two investigations in it, and commands that people type at it."""

import json
import subprocess
import uuid

from house import QUELL, House

CASE = {
    "investigation_id": "case-1",
    "investigation": {"title": "Phishing"},
    "evidence": [
        {"id": "link", "verdict": "VERDICT_SUSPICIOUS", "url": {"url": "https://login.pay.test/verify"}},
        {"id": "file", "verdict": "VERDICT_MALICIOUS", "file": {"path": "/opt/x", "sha256": "0" * 64}},
        {"id": "calm", "verdict": "VERDICT_NO_THREATS_FOUND", "url": {"url": "https://good.test/"}},
    ],
}
LINK = "2e7e51f1"
ESCAPE = "\x1b[2J\u202egnp.exe"


def submit(house: House, case: object) -> str:
    """Submit an investigation and return what was said."""
    file = house.folder.parent / f"{uuid.uuid4()}.json"
    file.write_text(json.dumps(case))
    return well(house, "submit", str(file))


def well(house: House, *arguments: str, person: str = "ann") -> str:
    """Run a command that succeeds and return what it printed."""
    ran = house.quell(*arguments, person=person)
    assert ran.returncode == 0, ran.stderr + ran.stdout
    return ran.stdout


def ask(house: House, pattern: str, *more: str) -> str:
    """Have ann ask for a URL block and return its short id."""
    return well(house, "actions", "ask", json.dumps({"block_url": {"pattern": pattern}}), "-m", "test", *more)[:8]


def started(house: House, *arguments: str) -> "subprocess.Popen[str]":
    """Start a command."""
    command = [str(QUELL), "--data", str(house.folder), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603
