"""Stories of a centre and its executors, told in virtual time."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from center_bench import Bench, running
from virtual_time import in_virtual_time

Story = Callable[[Bench], Coroutine[Any, Any, None]]


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Story], None]:
    """Return what plays a story from its beginning to its end."""

    def run(story: Story) -> None:
        async def whole() -> None:
            async with running(tmp_path / "db") as bench:
                await story(bench)

        in_virtual_time(whole)

    return run
