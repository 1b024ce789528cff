"""A machine leaves our care: its receipt is stored, its key counts no more, and nothing but its vault is left of it."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from house import House, free_ports, up

SOON = 30.0


def soon(look: Callable[[], bool]) -> None:
    """Wait until it is so."""
    end = time.monotonic() + SOON
    while not look():
        assert time.monotonic() < end, "it did not become so"
        psutil.Process().cpu_percent(0.1)


def quell(house: House, *words: str, person: str = "ann") -> str:
    """Run a command that goes well."""
    done = house.quell(*words, person=person)
    assert done.returncode == 0, done.stderr
    return done.stdout


def device(house: House) -> dict[str, str]:
    """Return the one device as the fleet shows it."""
    found: dict[str, str] = json.loads(quell(house, "--json", "devices", "list"))
    return found


def agents(house: House) -> list[psutil.Process]:
    """Return the agent's processes."""
    config = str(house.folder / "config" / "agent.toml")
    return [each for each in psutil.process_iter(["cmdline"]) if config in (each.info["cmdline"] or [])]


def test_a_machine_is_offboarded(tmp_path: Path) -> None:
    """What waits for it is called off; what is under lock stays so; nothing else of it is left."""
    malware = tmp_path / "malware"
    malware.write_text("something bad")
    with up(tmp_path / "house", free_ports()) as house:
        quarantine = json.loads(
            quell(house, "--json", "act", "stop-and-quarantine", "", "--file", str(malware), "-m", "x")
        )
        quell(house, "actions", "approve", quarantine["name"], "--yes", "--wait", "-m", "x", person="bob")
        assert not malware.exists()
        name = device(house)["name"]
        leave = json.loads(quell(house, "--json", "act", "offboard-machine", "", "-m", "sold"))
        assert leave["state"] == "ACTION_STATE_PENDING_APPROVAL"
        assert agents(house)
        waiting = json.loads(
            quell(house, "--json", "act", "stop-and-quarantine", "", "--file", "/nowhere/x", "-m", "x")
        )
        approved = quell(
            house, "--json", "actions", "approve", leave["name"], "--yes", "--wait", "-m", "x", person="bob"
        )
        assert json.loads(approved)["state"] == "ACTION_STATE_SUCCEEDED"
        soon(lambda: not agents(house))
        data = house.folder / "agent"
        assert {path.name for path in data.iterdir()} <= {"vault", "vaults.json"}
        assert [path for path in (data / "vault").rglob("*") if path.is_file()]
        soon(lambda: device(house)["state"] == "TARGET_STATE_OFFBOARDED")
        soon(
            lambda: (
                json.loads(quell(house, "--json", "actions", "show", waiting["name"]).splitlines()[0])["state"]
                == "ACTION_STATE_CANCELED"
            )
        )
        assert "OFFBOARDED" in quell(house, "devices", "show", name)
        refused = house.quell("act", "run-antivirus-scan", name, "--quick", "-m", "x")
        assert refused.returncode
