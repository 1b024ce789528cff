"""The judge of scripts."""

from collections.abc import Iterator

import pytest

from sieve_judge import SieveJudge, judging


@pytest.fixture(scope="module")
def judge_() -> Iterator[SieveJudge]:
    """Have Pigeonhole judge."""
    with judging() as found:
        yield found
