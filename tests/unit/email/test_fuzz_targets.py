"""What is fuzzed for minutes by `make fuzz` holds for its seeds, and for some bytes each time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz_targets import SEEDS, TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_its_seeds_are_read(name: str) -> None:
    """Each of them, and what is cut off anywhere."""
    for seed in SEEDS[name]:
        for end in range(0, len(seed) + 1, max(1, len(seed) // 20)):
            TARGETS[name](seed[:end])


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_bytes_are_read(name: str, data: st.DataObject) -> None:
    """Alone, or put into a seed."""
    seed = data.draw(st.sampled_from([b"", *SEEDS[name]]))
    at = data.draw(st.integers(0, len(seed)))
    TARGETS[name](seed[:at] + data.draw(st.binary(max_size=40)) + seed[at:])
