"""What contract tests of the device service share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from artifact_house import Scene, played
from deployment import Deployment, deployment
from device_house import House, running

__all__ = ["deployment"]


@pytest.fixture
async def house(deployment: Deployment, tmp_path: Path) -> AsyncIterator[House]:
    """Return a running device service without devices."""
    async with running(deployment, tmp_path) as found:
        yield found


@pytest.fixture
async def scene(deployment: Deployment, tmp_path: Path) -> AsyncIterator[Scene]:
    """Set the scene."""
    async with played(deployment, tmp_path) as found:
        yield found
