"""A lost device's vault opens with the deployment's recovery key, and with no other."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from quarantine_world import ACTION, RECOVERY, World, unread
from quell_runtime import pki


def recover(world: World, key: Path, to: Path) -> "subprocess.CompletedProcess[str]":
    """Run the command as people do."""
    command: list[str | Path] = [sys.executable, "-m", "quell_agent", "recover"]
    command += ["--data", world.data, "--key", key, "--to", to]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - ours


@pytest.fixture
async def taken(world: World) -> tuple[Path, bytes]:
    """Return where a file was that lies in the vault, and its bytes."""
    evil = world.program("evil")
    content = unread(evil)
    assert await world.take(await world.plan(str(evil))) == ["DONE"]
    return evil, content


def test_all_of_a_vault_is_recovered(world: World, tmp_path: Path, taken: tuple[Path, bytes]) -> None:
    """Bytes by their digest, closed to others, not executable; a line tells where it was and who took it."""
    key = tmp_path / "recovery.pem"
    pki.save_private(key, pki.key_pem(RECOVERY))
    ended = recover(world, key, tmp_path / "out")
    path, content = taken
    sha256 = hashlib.sha256(content).hexdigest()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout) == {
        "sha256": sha256,
        "action": ACTION.removeprefix("actions/"),
        "paths": [str(path)],
    }
    (found,) = (tmp_path / "out").iterdir()
    assert (found.name, found.read_bytes(), found.stat().st_mode & 0o777) == (sha256, content, 0o600)
    assert not path.exists()


@pytest.mark.usefixtures("taken")
def test_another_key_opens_nothing(world: World, tmp_path: Path) -> None:
    """Control: it says which file, exit code 1, and leaves nothing half written."""
    key = tmp_path / "other.pem"
    pki.save_private(key, pki.key_pem(X25519PrivateKey.generate()))
    ended = recover(world, key, tmp_path / "out")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "does not open" in ended.stderr
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.usefixtures("taken")
def test_a_changed_vault_file_is_not_recovered(world: World, tmp_path: Path) -> None:
    """Its content is checked to the last byte before it has its name."""
    key = tmp_path / "recovery.pem"
    pki.save_private(key, pki.key_pem(RECOVERY))
    (locked,) = (world.data / "vault").glob("*.sealed")
    locked.write_bytes(locked.read_bytes()[:-1])
    ended = recover(world, key, tmp_path / "out")
    assert ended.returncode == 1
    assert list((tmp_path / "out").iterdir()) == []


def test_what_is_wrong_is_said_in_a_line(world: World, tmp_path: Path) -> None:
    """A key that is not there: exit code 2, no trace."""
    ended = recover(world, tmp_path / "none.pem", tmp_path / "out")
    assert ended.returncode == 2
    assert "none.pem" in ended.stderr
    assert "Traceback" not in ended.stderr
