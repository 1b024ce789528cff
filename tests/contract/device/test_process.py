"""The device service as a process: it says when it is ready, ends when told to, and says plainly what is wrong."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from quell.device.v1 import fleet_service_pb2, fleet_service_pb2_grpc

from deployment import Deployment
from device_house import ROOT
from house import free_ports
from quell_runtime import pki

START_S = 60.0


def written(deployment: Deployment, folder: Path, **more: str) -> tuple[Path, int]:
    """Write a configuration; return it and the port of the API."""
    api = free_ports(3)
    agents, enrolment = api + 1, api + 2
    listener = deployment.listener("device")
    if not (folder / "identity.key").exists():
        pki.new_seal_key(folder / "identity.key")
    shown = {"certificate": listener.certificate, "key": listener.key}
    tables = {
        "api": {"listen": f"127.0.0.1:{api}", "client_ca": deployment.ca, **shown},
        "agents": {
            "listen": f"127.0.0.1:{agents}",
            "ca_certificate": deployment.folder / "agents-ca.crt",
            "ca_key": deployment.folder / "agents-ca.key",
            **shown,
        },
        "enrolment": {"listen": f"127.0.0.1:{enrolment}", **shown},
    }
    top = {
        "deployment": deployment.name,
        "data": folder / "data",
        "people": deployment.people,
        "identity_key": folder / "identity.key",
        "root_key": ROOT.public.hex(),
        **more,
    }
    lines = [f"{key} = {json.dumps(str(value))}" for key, value in top.items()] + ["drain_s = 0.1"]
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(str(value))}" for key, value in table.items())]
    path = folder / f"device-{api}.toml"
    path.write_text("\n".join(lines))
    return path, api


@asynccontextmanager
async def running(config: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run it, and leave nothing behind."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "quell_device",
        "--config",
        str(config),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ready(process: asyncio.subprocess.Process) -> None:
    """Wait until it says so."""
    assert process.stdout
    assert await asyncio.wait_for(process.stdout.readline(), START_S) == b"ready\n"


async def wrong(config: Path) -> str:
    """Run what can't start, and return what it says."""
    async with running(config) as process:
        _, said = await asyncio.wait_for(process.communicate(), START_S)
    assert process.returncode == 2
    return said.decode().splitlines()[-1]


async def test_it_says_ready_starts_again_after_a_kill_and_drains_when_told(
    deployment: Deployment, tmp_path: Path
) -> None:
    """A second process on the same data is refused meanwhile."""
    config, port = written(deployment, tmp_path)
    async with running(config) as process:
        await ready(process)
        async with deployment.channel(port, "dan", "device") as channel:
            fleet = fleet_service_pb2_grpc.FleetServiceStub(channel)
            await fleet.CreateEnrolmentToken(fleet_service_pb2.CreateEnrolmentTokenRequest(), timeout=30)
        other, _ = written(deployment, tmp_path)
        assert "another process works on" in await wrong(other)
        process.kill()
        await process.wait()
    async with running(config) as process:
        await ready(process)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), START_S) == 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"colour": "blue"}, "colour is unknown"),
        ({"root_key": "12"}, "root_key"),
        ({"identity_key": "/nowhere"}, "identity_key"),
    ],
)
async def test_a_wrong_configuration_is_named(
    deployment: Deployment, tmp_path: Path, more: dict[str, str], said: str
) -> None:
    """One line, exit code 2."""
    config, _ = written(deployment, tmp_path, **more)
    assert said in await wrong(config)


async def test_a_listener_that_is_everywhere_needs_an_address_to_dial(deployment: Deployment, tmp_path: Path) -> None:
    """Agents can't dial 0.0.0.0."""
    config, _ = written(deployment, tmp_path)
    before, agents = config.read_text().split("[agents]")
    config.write_text(f"{before}[agents]{agents.replace('127.0.0.1', '0.0.0.0', 1)}")  # noqa: S104 - what is refused
    assert "can't be dialled" in await wrong(config)
