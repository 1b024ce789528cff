"""Seeds that nobody has chosen: no promise is broken, and every point at which a process can die was one."""

import secrets
from collections.abc import Callable

import pytest

from simulation import fleet
from simulation.house import POINTS, RARE

ENOUGH, MANY = 50, 1000
"""Seeds after which each point must have been passed, and died at."""


@pytest.mark.timeout(1500)
def test_fresh_seeds_break_no_promise(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    """The nine invariants hold at every commit and change, and at rest."""
    one = request.config.getoption("--seed", None)
    count = 1 if one is not None else request.config.getoption("--seeds", 50)
    begin = request.config.getoption("--first", None)
    first = next((at for at in (one, begin) if at is not None), secrets.randbelow(10**9))
    tally = fleet.run_many(first, count)
    record_property("simulation", f"seeds {first} to {first + count - 1}: {told(tally)}")
    if tally.broken:
        seed, violations = next(iter(sorted(tally.broken.items())))
        trace = fleet.trace(seed)
        why = f"{len(tally.broken)} of {count} seeds broke promises: {sorted(tally.broken)}"
        replay = f"replay with: pytest tests/simulation -k fresh --seed {seed}"
        pytest.fail(f"{trace}\n{why}\n{replay}\n{violations}", pytrace=False)
    often = [point for point in POINTS if point not in RARE]
    assert count < ENOUGH or not [point for point in often if not tally.passed[point]], "a point is never reached"
    assert count < MANY or not [point for point in often if not tally.died[point]], "the storm spares a point"
    assert count < MANY or all(tally.passed[point] for point in RARE), "a rare point is never reached"


def told(tally: fleet.Tally) -> str:
    """Return the counts as one line."""
    totals = ", ".join(f"{round(number)} {name}" for name, number in tally.totals.items())
    return f"{totals}; died at {dict(sorted(tally.died.items()))}"
