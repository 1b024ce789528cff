"""Every test here runs apart, on a file system in memory that can be filled."""

import os
from pathlib import Path

import pytest

from apart import run_apart
from small_disk import Disk


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run tests apart, where we may; else they say here why they are skipped."""
    if os.geteuid() != 0 or Path(__file__).parent not in item.path.parents:
        return None
    return run_apart(item, nextitem)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """Return a small disk."""
    if os.geteuid() != 0:
        pytest.skip("mounts need root")
    return Disk(tmp_path / "disk")
