"""Others are on the machine: nothing that `quell up` writes is theirs to change, whatever umask and folder are."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from house import QUELL, free_ports, up

pytestmark = pytest.mark.timeout(120)


def test_nothing_that_is_written_is_open_to_others(tmp_path: Path) -> None:
    """With the umask 0, and without trust in the folder around it: each file and folder by itself."""
    folder = tmp_path / "quell"
    before = os.umask(0)
    try:
        with up(folder, free_ports()):
            found = [path for path in (folder, *folder.rglob("*")) if not path.is_symlink()]
            opened = [str(path) for path in found if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)]
    finally:
        os.umask(before)
    assert len(found) > 60
    assert opened == []


def test_a_folder_that_others_write_is_refused(tmp_path: Path) -> None:
    """They may have put keys and people of their own there."""
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    command: list[str | Path] = [QUELL, "up", "--data", folder, "--port", str(free_ports())]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    assert ran.returncode == 2
    assert "others can write there" in ran.stderr
    assert list(folder.iterdir()) == []
