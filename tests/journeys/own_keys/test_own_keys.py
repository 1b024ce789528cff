"""Promise: with a quorum, what happens is what people sealed with keys that nobody else has, by command line."""

import json
import stat
from pathlib import Path

import pytest

from house import free_ports, up
from quell_cli import deployment
from quell_cli.deployment import Folder, Ports

BLOCK = '{"block_url": {"pattern": "*.evil.test"}}'


@pytest.mark.timeout(180)
def test_an_approval_is_sealed_by_itself_and_an_unsealed_one_does_nothing(tmp_path: Path) -> None:
    """Bob has a key and the email service knows it; ann has none, and her vote moves the centre, but no executor."""
    folder, port = Folder(tmp_path / "quell"), free_ports()
    deployment.make(folder, Ports(port))
    people, email = folder.config("people"), folder.config("email")
    nobody = "00" * 32
    email.write_text(f'{email.read_text()}\n[quorums]\nblock_url = 1\n\n[approvers]\nbob = ["{nobody}"]\n')
    with up(folder.root, port) as house:
        made = house.quell("keys", "make", person="bob")
        assert made.returncode == 0, made.stderr
        assert stat.S_IMODE((folder.root / "pki" / "bob.own.pem").stat().st_mode) == 0o600
        assert house.quell("keys", "make", person="bob").returncode == 2
        assert house.quell("keys", "show", person="bob").stdout == made.stdout
        assert house.quell("token", "email", "44f5c1e0-8f0e-4d0a-9a34-0f1f6f0f0004").returncode == 2
        key = made.stdout.strip().removeprefix('keys = ["').removesuffix('"]')
    people.write_text(people.read_text().replace("[people.bob]", f"[people.bob]\n{made.stdout}"))
    email.write_text(email.read_text().replace(nobody, key))
    with up(folder.root, port) as house:
        asked = json.loads(house.quell("--json", "actions", "ask", BLOCK, "-m", "seen", person="bob").stdout)
        unsealed = house.quell("actions", "approve", asked["name"], "--yes", "--wait", "-m", "ok", person="ann")
        assert (unsealed.returncode, "FAILED" in unsealed.stdout) == (1, True), unsealed
        assert "APPROVALS_MISSING" in house.quell("actions", "show", asked["name"]).stdout
        assert "allowed" in house.quell("urls", "check", "https://www.evil.test/").stdout.lower()
        asked = json.loads(house.quell("--json", "actions", "ask", BLOCK, "-m", "again", person="ann").stdout)
        sealed = house.quell("actions", "approve", asked["name"], "--yes", "--wait", "-m", "ok", person="bob")
        assert (sealed.returncode, "SUCCEEDED" in sealed.stdout) == (0, True), sealed
        assert "blocked" in house.quell("urls", "check", "https://www.evil.test/").stdout.lower()
        shown = json.loads(house.quell("--json", "actions", "show", asked["name"]).stdout.splitlines()[0])
        assert "approval" in json.dumps(shown)
