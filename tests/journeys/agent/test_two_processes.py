"""The process that acts has no network, the one that talks has no rights; each outlives what the other may become."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from eventually import eventually
from house import House, free_ports, up

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Return a running deployment."""
    with up(tmp_path_factory.mktemp("two") / "house", free_ports()) as found:
        yield found


def agents_of(house: House) -> list[psutil.Process]:
    """Return the processes that act: one, or for a moment none."""
    config = str(house.folder / "config" / "agent.toml")
    return [each for each in psutil.process_iter(["cmdline"]) if config in (each.info["cmdline"] or [])]


def agent_of(house: House) -> psutil.Process:
    """Return the process that acts."""
    (found,) = agents_of(house)
    return found


def talkers_of(agent: psutil.Process) -> list[psutil.Process]:
    """Return the processes that talk for it: one, or for a moment none."""
    children = [each for each in agent.children() if each.status() != psutil.STATUS_ZOMBIE]
    return [each for each in children if "quell_agent.talker" in each.cmdline()]


async def comes(look: Callable[[], bool]) -> None:
    """Wait for what comes true by itself."""
    await eventually(lambda: asyncio.to_thread(look), bool, within=60)


def connected(house: House) -> bool:
    """Whether the deployment has the agent in conversation."""
    return "CONNECTED" in house.quell("--json", "devices", "list").stdout


def status(process: psutil.Process) -> dict[str, str]:
    """Return what the kernel says of a process."""
    lines = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_only_the_talker_has_a_network(house: House) -> None:
    """The process that acts has no socket of it; the control: the talker has one."""
    agent = agent_of(house)
    (talker,) = talkers_of(agent)
    assert agent.net_connections("inet") == []
    assert talker.net_connections("inet") != []


def test_the_process_that_acts_has_no_grpc() -> None:
    """Nor what it would need to talk."""
    code = "import sys, quell_agent.agent; print({'grpc', 'yara_x', 'pydantic'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)  # noqa: S603 - ours
    assert said.stdout.strip() == "set()"


@ROOT_ONLY
def test_the_talker_has_no_rights(house: House) -> None:
    """No user that somebody is, no group, no capability, none to be had; the control: the other has them."""
    agent = agent_of(house)
    (talker,) = talkers_of(agent)
    found, other = status(talker), status(agent)
    assert {found[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (found["NoNewPrivs"], found["Groups"]) == ("1", "")
    assert set(found["Uid"].split()) == {str((house.folder / "agent/talker").stat().st_uid)}
    assert int(found["Uid"].split()[0]) not in {0, os.geteuid()}
    assert other["CapEff"] != "0" * 16


@ROOT_ONLY
def test_the_talkers_user_reaches_nothing_of_the_agent(house: House) -> None:
    """The identity key and the journal are closed to it; its own folder is all that it has."""
    folder = house.folder / "agent"
    owner = (folder / "talker").stat().st_uid
    assert {path.stat().st_uid for path in folder.rglob("*") if "talker" not in path.parts} == {os.geteuid()}
    code = f"import os; os.setuid({owner}); open({str(folder / 'identity.pem')!r})"
    refused = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)  # noqa: S603 - ours
    assert "PermissionError" in refused.stderr


async def test_a_talker_that_dies_is_started_again(house: House) -> None:
    """The one that acts goes on, and is in conversation again."""
    agent = agent_of(house)
    (talker,) = talkers_of(agent)
    talker.kill()
    await comes(lambda: [each.pid for each in talkers_of(agent)] not in ([], [talker.pid]))
    assert agent.is_running()
    await comes(lambda: connected(house))


async def test_its_addresses_are_known_for_when_nobody_can_be_asked(house: House) -> None:
    """What the gateway's name stands for is kept, so that an isolated device finds the way; of an address, nothing."""
    hosts, home = (house.folder / "agent" / name for name in ("hosts.json", "home.json"))
    assert not hosts.exists()
    by_address = home.read_text(encoding="utf-8")
    home.write_text(by_address.replace("127.0.0.1", "localhost"), encoding="utf-8")
    try:
        for talker in talkers_of(agent_of(house)):
            talker.kill()
        await comes(hosts.exists)
        assert "127.0.0.1" in json.loads(hosts.read_text(encoding="utf-8"))
        await comes(lambda: connected(house))
    finally:
        home.write_text(by_address, encoding="utf-8")


async def test_with_the_agent_its_talker_ends(house: House) -> None:
    """Killed, it leaves none behind; and the deployment starts both again."""
    agent = agent_of(house)
    (talker,) = talkers_of(agent)
    os.kill(agent.pid, signal.SIGKILL)
    await comes(lambda: not talker.is_running() or talker.status() == psutil.STATUS_ZOMBIE)
    await comes(lambda: connected(house) and [each.pid for each in agents_of(house)] not in ([], [agent.pid]))
