"""Every test here runs apart, in namespaces of its own, on a file system in memory, and never for long."""

from pathlib import Path

import pytest

from apart import run_apart
from execution_world import World
from quell_agent.execution import fanotify

LACKS = fanotify.missing()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run tests apart, where the machine has what they need; else they say here why they are skipped."""
    if LACKS or Path(__file__).parent not in item.path.parents:
        return None
    return run_apart(item, nextitem)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a small system on a file system of its own."""
    if LACKS:
        pytest.skip(LACKS)
    return World(tmp_path / "scratch")
