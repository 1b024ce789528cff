"""Planted bugs: each is found at a recorded seed, which is clean without it."""

from collections.abc import Callable

import pytest

from simulation import fleet

RECORDED = {
    "no_outbox": (1, 9),
    "no_resend": (1, 9),
    "acknowledged_before_commit": (28, 3),
    "receipt_before_commit": (1, 5),
    "no_plan_journaled": (1, 1),
    "no_probe_on_recovery": (29, 2),
    "sent_expired_by_center": (38, 5),
    "done_before_effect": (1, 5),
    "no_sequence": (64, 4),
    "names_not_fenced": (153, 4),
    "no_marks": (205, 9),
    "forgets_what_counts": (1, 3),
}
"""The seed at which each is found, and the invariant that is broken."""
MOST = 400
"""Seeds to hunt through where a change elsewhere has turned the recorded one into another story."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("bug", RECORDED)
def test_a_planted_bug_is_found(bug: str, record_property: Callable[[str, object], None]) -> None:
    """With the bug a seed breaks its promise, without it none."""
    recorded, invariant = RECORDED[bug]
    for start in range(recorded, recorded + MOST, fleet.SHARE):
        count = 1 if start == recorded else fleet.SHARE
        if found := [one["seed"] for one in fleet.run(start, count, "--bug", bug) if _breaks(one, invariant)]:
            break
    else:
        pytest.fail(f"{bug} is not seen in {MOST} seeds")
    if found[0] != recorded:
        record_property("simulation", f"{bug} is found at seed {found[0]} now: record that")
    (without,) = fleet.run(found[0], 1)
    assert not without["violations"]


def _breaks(told: fleet.Told, invariant: int) -> bool:
    return any(violation.startswith(f"invariant {invariant}:") for violation in told["violations"])


@pytest.mark.timeout(300)
def test_a_seed_replays_exactly() -> None:
    """Run twice, also after others, it comes to the same, step by step."""
    assert fleet.trace(5) == fleet.trace(5)
    assert fleet.run(4, 2)[1] == fleet.run(5, 1)[0]
