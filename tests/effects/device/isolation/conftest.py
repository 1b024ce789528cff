"""What the tests of the isolation stand on: a network of their own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import network_lab
from isolation_world import Device, started


@pytest.fixture
async def device(tmp_path: Path) -> AsyncIterator[Device]:
    """Return the device of a laboratory that was just built."""
    if why := network_lab.missing():
        pytest.skip(why)
    (tmp_path / "data").mkdir()
    async with network_lab.Lab(tmp_path) as lab:
        yield Device(lab, tmp_path / "data", await started(lab, tmp_path / "data"))
