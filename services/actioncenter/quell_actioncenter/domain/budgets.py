"""How much may happen without people: what a budget has seen of late, and whether one more fits.

A budget counts what the policy lets happen by itself; what people approve, what only reads and what lets go is not
counted and never held. Uses are kept as counts by slices of the window, and a slice counts until all of it has left
the window, so that no window of the length, wherever it begins, ever holds more than the limit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from quell_actioncenter.domain.policy_document import Budget, Policy

SLICES = 60
_MICROSECOND = timedelta(microseconds=1)

Uses = tuple[str, ...]
"""`{start of a slice, microseconds}:{how many}`, oldest first."""


@dataclass(frozen=True, slots=True)
class Spent:
    """The uses of every budget that counts the kind, with one more; or why it must be held, and nothing spent."""

    uses: Mapping[str, Uses]
    over: tuple[str, ...] = ()


def of_kind(policy: Policy, kind: str) -> tuple[Budget, ...]:
    """Return the budgets that count a kind."""
    return tuple(budget for budget in policy.budgets if kind in budget.kinds)


def used(budget: Budget, uses: Sequence[str], now: int) -> int:
    """Return how much of a budget is used now (microseconds since 1970)."""
    return sum(count for _, count in _live(budget, uses, now))


def spend(budgets: Sequence[Budget], uses: Mapping[str, Uses], now: int) -> Spent:
    """Take one from every budget, or from none if one of them has nothing left."""
    over = tuple(budget.name for budget in budgets if used(budget, uses.get(budget.name, ()), now) >= budget.limit)
    if over:
        return Spent({}, tuple(map(reason, over)))
    return Spent({budget.name: _one_more(budget, uses.get(budget.name, ()), now) for budget in budgets})


def reason(name: str) -> str:
    """Return why an action is held by a budget, as its approval need says it."""
    return f"budget {name} has nothing left"


def _slice(budget: Budget) -> int:
    return max(1, budget.window // _MICROSECOND // SLICES)


def _live(budget: Budget, uses: Sequence[str], now: int) -> list[tuple[int, int]]:
    """Return the slices that still count. One from the future, left by a clock that was set back, counts too."""
    oldest = now - budget.window // _MICROSECOND - _slice(budget)
    pairs = [tuple(map(int, use.split(":"))) for use in uses]
    return [(start, count) for start, count in pairs if start > oldest]


def _one_more(budget: Budget, uses: Sequence[str], now: int) -> Uses:
    start = now - now % _slice(budget)
    counts = dict(_live(budget, uses, now))
    counts[start] = counts.get(start, 0) + 1
    return tuple(f"{begin}:{count}" for begin, count in sorted(counts.items()))
