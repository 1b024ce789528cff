"""An agent enrols only with whom its token names, keeps its keys to itself, and comes back by itself."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from house import House, free_ports, up
from quell_runtime import enrolment_token

EXECUTOR_PSS_BYTES, TALKER_PSS_BYTES = 40_000_000, 60_000_000
"""Beside the rest of the deployment, which shares libraries with them."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Return a running deployment."""
    with up(tmp_path_factory.mktemp("agent") / "house", free_ports()) as found:
        yield found


def agent(config: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run an agent that is expected to end by itself."""
    path = folder / "agent.toml"
    path.write_text(config, encoding="utf-8")
    command: list[str | Path] = [sys.executable, "-m", "quell_agent", "--config", path]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - ours


def running_agent(house: House) -> psutil.Process:
    """Return the deployment's agent."""
    config = str(house.folder / "config" / "agent.toml")
    found = [each for each in psutil.process_iter(["cmdline"]) if config in (each.info["cmdline"] or [])]
    return found[0]


def talker_of(agent: psutil.Process) -> psutil.Process:
    """Return the process that talks for an agent."""
    (found,) = [each for each in agent.children() if "quell_agent.talker" in each.cmdline()]
    return found


def test_its_keys_are_for_its_eyes_only_and_it_is_small(house: House) -> None:
    """Every file of the agent is closed to others; the TLS key alone is the talker's; idle neither needs much."""
    folder = house.folder / "agent"
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"identity.pem", "home.json", "token"} <= {path.name for path in folder.iterdir()}
    assert {path.name for path in (folder / "talker").iterdir()} == {"tls.key", "tls.crt", "roots.crt"}
    assert [path.name for path in files if path.stat().st_mode & 0o077] == []
    assert running_agent(house).memory_full_info().pss < EXECUTOR_PSS_BYTES
    assert talker_of(running_agent(house)).memory_full_info().pss < TALKER_PSS_BYTES


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("listener_digest", "does not show the certificate"),
        ("secret", "enrolment was refused"),
    ],
)
def test_a_token_that_names_somebody_else_is_not_used(house: House, tmp_path: Path, field: str, said: str) -> None:
    """Another certificate, a token that nobody gave: it ends, and is not enrolled."""
    known = enrolment_token.parse((house.folder / "agent/token").read_text(encoding="utf-8"))
    changed = {"listener_digest": known.listener_digest, "secret": known.secret, field: bytes(32)}
    text = dataclasses.replace(known, listener_digest=changed["listener_digest"], secret=changed["secret"]).text()
    ended = agent(f'data = "{tmp_path}/data"\ntoken = "{text}"\n', tmp_path)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "data/home.json").exists()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ('data = "D"\ntokn = "x"\n', "tokn is unknown"),
        ('token = "x"\n', "data is missing"),
        ('data = "D"\n', "token is missing"),
        ('data = "D"\ntoken = "nonsense"\n', "no enrolment token"),
        ('data = "D"\n[max_effects_per_hour]\nnothing = 1\n', "max_effects_per_hour.nothing"),
        ("data = [", "agent.toml"),
    ],
)
def test_a_wrong_configuration_is_one_line_that_names_the_key(tmp_path: Path, config: str, said: str) -> None:
    """Exit code 2, one line, no trace."""
    ended = agent(config.replace('"D"', f'"{tmp_path}/data"'), tmp_path)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_two_agents_on_one_folder_are_one_too_many(house: House) -> None:
    """The second is refused, and the first goes on."""
    config = house.folder / "config" / "agent.toml"
    command: list[str | Path] = [sys.executable, "-m", "quell_agent", "--config", config]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - ours
    assert second.returncode == 2
    assert "another process works on" in second.stderr
    assert running_agent(house).is_running()


def test_it_says_what_it_offers_and_what_it_lacks(house: House) -> None:
    """Each kind of its plane is offered, or has a reason."""
    said = house.quell("--json", "devices", "list")
    assert said.returncode == 0, said.stderr
    assert "run_antivirus_scan" in said.stdout
    assert os.uname().nodename in said.stdout
