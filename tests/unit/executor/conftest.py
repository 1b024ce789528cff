"""A house for every test of the kit."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kit_house import House


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Return a house with an executor that a centre speaks with."""
    found = House(tmp_path)
    await found.move_in()
    await found.connect()
    yield found
    await found.crash()
