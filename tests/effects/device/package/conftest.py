"""What the tests of the investigation package stand on."""

from pathlib import Path

import pytest

from package_world import Scene


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """Return a machine."""
    return Scene(tmp_path)
