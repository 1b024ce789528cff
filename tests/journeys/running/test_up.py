"""Promise: `quell up` runs a whole deployment, goes on where it was, and never runs twice over one folder."""

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import psutil
import pytest

from house import QUELL, House, free_ports, up

pytestmark = pytest.mark.timeout(240)
PROCESSES = 4


def ours(folder: Path) -> list[psutil.Process]:
    """Return the processes that work in a folder."""
    return [each for each in psutil.process_iter() if str(folder) in " ".join(_command(each))]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def block(house: House, pattern: str, action: str) -> None:
    """Have a URL blocked, asked for by ann and approved by bob."""
    request = {"action_id": action, "comment": "test", "remediation": {"block_url": {"pattern": pattern}}}
    call(house, "ann", "quell.actioncenter.v1.ActionService/CreateAction", request)
    approved = house.quell("actions", "approve", action, "--yes", "--wait", "-m", "test", person="bob")
    assert approved.returncode == 0, approved.stderr


def call(house: House, person: str, method: str, request: object) -> None:
    """Call an RPC of the Action Center by grpcurl."""
    pki = house.folder / "pki"
    who: list[str | Path] = [
        "-cacert",
        pki / "deployment-ca.crt",
        "-cert",
        pki / f"{person}.crt",
        "-key",
        pki / f"{person}.key",
    ]
    command = [QUELL.with_name("grpcurl"), "-max-time", "30", *who, "-d", json.dumps(request)]
    subprocess.run([*command, f"127.0.0.1:{house.port}", method], check=True, capture_output=True)  # noqa: S603


def test_it_goes_on_where_it_was_and_leaves_nothing_running(tmp_path: Path) -> None:
    """What was blocked stays blocked through a stop and a start; after Ctrl-C no process is left."""
    port, folder = free_ports(), tmp_path / "quell"
    with up(folder, port) as house:
        assert len(ours(folder)) >= PROCESSES
        block(house, "*.evil.test", "33f5c1e0-8f0e-4d0a-9a34-0f1f6f0f0003")
        assert house.quell("urls", "check", "http://a.evil.test/").returncode == 1
    assert house.process.returncode == 0
    assert ours(folder) == []
    with up(folder, port) as house:
        assert house.quell("urls", "check", "http://a.evil.test/").returncode == 1
        assert "SUCCEEDED" in house.quell("actions", "list", "--all").stdout
        assert house.quell("audit", "verify").returncode == 0
    assert ours(folder) == []


def test_a_process_that_is_killed_is_started_again_and_goes_on(tmp_path: Path) -> None:
    """SIGKILL each in turn: the deployment heals, and what was in force is."""
    folder = tmp_path / "quell"
    with up(folder, free_ports()) as house:
        block(house, "*.evil.test", "33f5c1e0-8f0e-4d0a-9a34-0f1f6f0f0003")
        for module in ("quell_email", "quell_device", "quell_actioncenter", "quell_agent"):
            (victim,) = [each for each in ours(folder) if module in _command(each)]
            victim.kill()
            assert house.process.stdout is not None
            assert "started again" in house.process.stdout.readline()
            assert "ready" in house.process.stdout.readline()
        block(house, "*.worse.test", "44f5c1e0-8f0e-4d0a-9a34-0f1f6f0f0004")
        assert house.quell("urls", "check", "http://a.evil.test/").returncode == 1


def test_a_second_one_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    """It says so in one line and exits with 2."""
    folder = tmp_path / "quell"
    with up(folder, free_ports()):
        second = run("up", "--data", str(folder), "--port", str(free_ports()))
        assert (second.returncode, second.stdout) == (2, "")
        assert "another process works on" in second.stderr
        assert "Traceback" not in second.stderr


def test_a_taken_port_is_refused(tmp_path: Path) -> None:
    """It names the port and exits with 2; nothing is started."""
    port = free_ports()
    with socket.create_server(("127.0.0.1", port + 2)):
        refused = run("up", "--data", str(tmp_path / "quell"), "--port", str(port))
    assert refused.returncode == 2
    assert f"port {port + 2} is taken" in refused.stderr
    assert ours(tmp_path) == []


def test_its_processes_end_with_it_even_if_it_is_killed(tmp_path: Path) -> None:
    """SIGKILL of `quell up` leaves no orphan."""
    folder = tmp_path / "quell"
    with up(folder, free_ports()) as house:
        children = [each for each in ours(folder) if each.pid != house.process.pid]
        assert len(children) >= PROCESSES
        os.kill(house.process.pid, signal.SIGKILL)
        _, left = psutil.wait_procs(children, timeout=30)
        assert left == []


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    return subprocess.run([QUELL, *arguments], capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
