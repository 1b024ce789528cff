"""No window of a budget's length ever holds more than its limit, wherever it begins."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from quell_actioncenter.domain import budgets
from quell_actioncenter.domain.budgets import Uses
from quell_actioncenter.domain.policy_document import Budget
from quell_actioncenter.domain.policy_yaml import default_document, read_policy

NOW = 1_790_000_000_000_000
MINUTE = 60_000_000


def budget(limit: int, minutes: int = 10, name: str = "b") -> Budget:
    """Return a budget of isolations."""
    return Budget(name=name, kinds=("isolate_device",), window=timedelta(minutes=minutes), limit=limit)


@given(
    st.integers(0, 5),
    st.integers(1, 90),
    st.lists(st.integers(0, 30 * MINUTE), max_size=60),
)
def test_no_window_ever_holds_more_than_the_limit(limit: int, minutes: int, gaps: list[int]) -> None:
    """Whatever the times at which it is asked; and what is refused does not use up."""
    one, uses, now = budget(limit, minutes), dict[str, Uses](), NOW
    let: list[int] = []
    for gap in gaps:
        now += gap
        spent = budgets.spend([one], uses, now)
        assert bool(spent.over) is not bool(spent.uses)
        if not spent.over:
            uses |= spent.uses
            let.append(now)
    window = minutes * MINUTE
    assert all(sum(start <= time < start + window for time in let) <= limit for start in let)
    assert len(uses.get("b", ())) <= budgets.SLICES + 2


@given(st.integers(1, 5), st.lists(st.integers(0, 5 * MINUTE), max_size=30))
def test_what_fits_is_let_happen(limit: int, gaps: list[int]) -> None:
    """It is not held unless the window and one slice before now have seen as much as the limit."""
    one, uses, now, let = budget(limit), dict[str, Uses](), NOW, list[int]()
    for gap in gaps:
        now += gap
        spent = budgets.spend([one], uses, now)
        reach = 10 * MINUTE + 2 * (10 * MINUTE // budgets.SLICES)
        if sum(now - time < reach for time in let) < limit:
            assert not spent.over
        if not spent.over:
            uses |= spent.uses
            let.append(now)


def test_used_counts_what_is_in_the_window() -> None:
    """And no more after it."""
    one, uses = budget(5), dict[str, Uses]()
    for _ in range(3):
        uses |= budgets.spend([one], uses, NOW).uses
    assert budgets.used(one, uses["b"], NOW) == 3
    assert budgets.used(one, uses["b"], NOW + 9 * MINUTE) == 3
    assert budgets.used(one, uses["b"], NOW + 11 * MINUTE) == 0
    assert budgets.used(one, (), NOW) == 0


def test_a_clock_that_was_set_back_frees_nothing() -> None:
    """What was used at a later time counts still."""
    one = budget(1)
    spent = budgets.spend([one], {}, NOW)
    assert budgets.spend([one], spent.uses, NOW - 60 * MINUTE).over


def test_all_budgets_are_used_or_none() -> None:
    """If one of two has nothing left, the other is not touched, and the reason names the empty one."""
    roomy, empty = budget(9, name="roomy"), budget(0, name="empty")
    spent = budgets.spend([roomy, empty], {}, NOW)
    assert spent.uses == {}
    assert spent.over == ("budget empty has nothing left",)
    assert budgets.spend([], {}, NOW).over == ()


def test_a_kind_has_the_budgets_that_count_it() -> None:
    """By the default policy each remediation that changes something by itself is counted."""
    policy = read_policy(default_document())
    assert [one.name for one in budgets.of_kind(policy, "stop_and_quarantine")] == ["quarantine"]
    for rule in policy.playbook:
        assert budgets.of_kind(policy, rule.remediation)
    assert budgets.of_kind(policy, "run_antivirus_scan") == ()
