"""A house for every test of the kit."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kit_house import House
from kit_network import Network


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Return a house with an executor that a centre speaks with."""
    found = House(tmp_path)
    await found.move_in()
    await found.connect()
    yield found
    await found.crash()


@pytest.fixture
async def network(house: House) -> Network:
    """Return a network that the house's executor works on."""
    found = Network("an administrator's")
    house.more = dict(found.offers())
    await house.again()
    return found
