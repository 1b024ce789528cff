"""What the tests on real files and processes stand on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from quarantine_world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Return a machine of the test's own."""
    (tmp_path / "data").mkdir()
    (tmp_path / "box").mkdir()
    world = World(tmp_path / "data", tmp_path / "box")
    yield world
    for process in world.started:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
