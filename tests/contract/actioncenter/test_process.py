"""The Action Center as a process: it says when it is ready, ends when told to, and says plainly what is wrong."""

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from quell.actioncenter.v1 import policy_service_pb2, policy_service_pb2_grpc

from deployment import Deployment, deployment
from house import free_ports
from quell_runtime import key_sets, pki
from quell_runtime.sealing import SealKey

__all__ = ["deployment"]

ROOT = SealKey(bytes(range(32)))
START_S = 30.0


class Setting:
    """A configuration in a folder of its own, which a test may spoil."""

    def __init__(self, deployment: Deployment, folder: Path) -> None:
        """Lay out what is right."""
        self.folder = folder
        self.port = free_ports(1)
        api = deployment.listener("actioncenter")
        self.top: dict[str, object] = {
            "deployment": deployment.name,
            "data": folder / "data",
            "people": deployment.people,
            "seal_key": folder / "seal.pem",
            "key_set": folder / "key_set.bin",
            "drain_s": 0.1,
        }
        self.api: dict[str, object] = {"certificate": api.certificate, "key": api.key, "client_ca": api.client_ca}
        key = pki.new_seal_key(folder / "seal.pem")
        self.seal(deployment.name, key)

    def seal(self, deployment: str, key: SealKey) -> None:
        """Have the root key vouch for a key of a deployment."""
        keys = [key_sets.sealing_key(key.public, datetime.now(UTC), timedelta(days=1))]
        sealed = key_sets.sealed(ROOT, deployment, 1, keys)
        self.folder.joinpath("key_set.bin").write_bytes(sealed.SerializeToString())

    def write(self) -> Path:
        """Write the file."""
        top = "".join(f"{key} = {_toml(value)}\n" for key, value in self.top.items())
        api = "".join(f"{key} = {_toml(value)}\n" for key, value in {"listen": self.listen, **self.api}.items())
        path = self.folder / "actioncenter.toml"
        path.write_text(f"{top}\n[api]\n{api}")
        return path

    @property
    def listen(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"


def _toml(value: object) -> str:
    return str(value) if isinstance(value, int | float) else json.dumps(str(value))


@pytest.fixture
def setting(deployment: Deployment, tmp_path: Path) -> Setting:
    """Return a configuration that works."""
    return Setting(deployment, tmp_path)


async def started(config: Path) -> asyncio.subprocess.Process:
    """Start the process."""
    command = (sys.executable, "-m", "quell_actioncenter", "--config", str(config))
    return await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


@asynccontextmanager
async def running(config: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run it until it says that it is ready, and end it."""
    process = await started(config)
    assert process.stdout
    assert process.stderr
    try:
        first = await asyncio.wait_for(process.stdout.readline(), START_S)
        assert first == b"ready\n", (await process.stderr.read()).decode()
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.communicate(), START_S)


async def outcome(config: Path) -> tuple[int | None, str]:
    """Return the exit code of a process that can't run, and what it says."""
    process = await started(config)
    _, said = await asyncio.wait_for(process.communicate(), START_S)
    return process.returncode, said.decode()


async def test_it_serves_until_it_is_told_to_stop(setting: Setting, deployment: Deployment) -> None:
    """Ready, healthy, with our own policy in force; SIGTERM ends it with 0; started again it goes on with its data."""
    config = setting.write()
    for _ in range(2):
        async with running(config) as process, deployment.channel(setting.port, "ann") as channel:
            health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
            assert health.status == health_pb2.HealthCheckResponse.SERVING
            asked = policy_service_pb2.GetPolicyRequest(name="policies/current")
            found = await policy_service_pb2_grpc.PolicyServiceStub(channel).GetPolicy(asked, timeout=10)
            assert found.policy.name == "policies/1"
        assert process.returncode == 0


async def test_a_second_process_on_the_same_data_is_refused(setting: Setting) -> None:
    """Whoever comes second learns why, and changes nothing."""
    config = setting.write()
    async with running(config):
        setting.port = free_ports(1)
        code, said = await outcome(setting.write())
    assert (code, len(said.splitlines())) == (2, 1), said
    assert f"another process works on {setting.folder / 'data'}" in said


async def test_a_port_that_is_taken_is_named(setting: Setting) -> None:
    """With what to do about it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", setting.port))
        taken.listen()
        code, said = await outcome(setting.write())
    assert code == 2
    assert f"quell-actioncenter: {setting.listen} can't be listened on" in said
    assert "Traceback" not in said


def unknown_key(setting: Setting) -> None:
    """Have a key that nobody knows."""
    setting.top["colour"] = "red"


def unknown_key_within(setting: Setting) -> None:
    """Have a key in a table that nobody knows."""
    setting.api["colour"] = "red"


def missing_key(setting: Setting) -> None:
    """Lack a key."""
    del setting.top["key_set"]


def missing_file(setting: Setting) -> None:
    """Name a file that is not there."""
    setting.top["people"] = setting.folder / "nobody.toml"


def bad_policy(setting: Setting) -> None:
    """Have a policy with a mistake."""
    setting.top["policy"] = setting.folder / "policy.yaml"
    setting.folder.joinpath("policy.yaml").write_text("colour: red\n")


def strange_key_set(setting: Setting) -> None:
    """Have another deployment's key set."""
    setting.seal("elsewhere", pki.load_seal_key(setting.folder / "seal.pem"))


def key_not_listed(setting: Setting) -> None:
    """Have a key that the key set does not list."""
    setting.seal(str(setting.top["deployment"]), SealKey(bytes(range(1, 33))))


def no_key_set(setting: Setting) -> None:
    """Have something else for a key set."""
    setting.folder.joinpath("key_set.bin").write_bytes(b"\xff\xff\xff")


def no_key(setting: Setting) -> None:
    """Have something else for a key."""
    setting.folder.joinpath("seal.pem").write_text("no key")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (unknown_key, "colour is unknown; allowed: "),
        (unknown_key_within, "api.colour is unknown; allowed: certificate, client_ca, key, listen"),
        (missing_key, "key_set is missing"),
        (missing_file, "people: "),
        (bad_policy, "line 1"),
        (strange_key_set, "the key set is for the deployment elsewhere"),
        (key_not_listed, "the key set does not list the seal key"),
        (no_key_set, "key_set.bin holds no sealed key set"),
        (no_key, "seal.pem"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_what_is_wrong_is_said_in_a_line(setting: Setting, spoil: Callable[[Setting], None], says: str) -> None:
    """Exit code 2, one line, no traceback."""
    spoil(setting)
    code, said = await outcome(setting.write())
    assert code == 2, said
    assert said.startswith("quell-actioncenter: ")
    assert says in said
    assert len(said.splitlines()) == 1, said


async def test_a_configuration_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Its path, and nothing else."""
    code, said = await outcome(tmp_path / "none.toml")
    assert (code, said) == (2, f"quell-actioncenter: {tmp_path / 'none.toml'}: there is no such file\n")
