"""One deployment for all commands."""

from collections.abc import Iterator

import pytest

from cli_house import CASE, ESCAPE, submit
from house import House, free_ports, up


@pytest.fixture(scope="package")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Have a deployment running with two investigations in it."""
    with up(tmp_path_factory.mktemp("cli") / "quell", free_ports()) as found:
        submit(found, CASE)
        submit(found, {"investigation_id": "case-10", "investigation": {"title": ESCAPE}, "complete": True})
        yield found
