"""One deployment and one machine for all journeys of devices; each leaves the machine as it found it."""

from collections.abc import Iterator

import pytest

import device_journey
from device_journey import Journey


@pytest.fixture(scope="package")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """Return the deployment and the machine, as they run."""
    if why := device_journey.missing():
        pytest.skip(why)
    with device_journey.journey(tmp_path_factory.mktemp("journey")) as found:
        yield found
