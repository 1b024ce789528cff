"""What attacks need: a deployment to attack, or a centre whose executors are the attackers'."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from center_bench import Bench, running
from deployment import deployment
from virtual_time import in_virtual_time

__all__ = ["deployment"]

Story = Callable[[Bench], Coroutine[Any, Any, None]]


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Story], None]:
    """Return what plays a story of a centre from its beginning to its end, in virtual time."""

    def run(story: Story) -> None:
        async def whole() -> None:
            async with running(tmp_path / "db") as bench:
                await story(bench)

        in_virtual_time(whole)

    return run
