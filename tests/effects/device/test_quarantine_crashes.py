"""Killed between any two steps, a file is whole at its place or whole in the vault, and the way can be finished."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from quarantine_world import Said, World, digests, facts
from quell_executor.effect import Plan


class Killed(BaseException):
    """The process is no more."""


class Killer:
    """Kills at the nth of the points that are passed."""

    def __init__(self, at: int) -> None:
        """Kill at `at`; never, if that is beyond the last."""
        self.at = at
        self.passed: list[str] = []

    def __call__(self, point: str) -> None:
        """Pass a point, or not."""
        self.passed.append(point)
        if len(self.passed) == self.at:
            raise Killed(point)


async def _killed(world: World, plan: Plan, at: int) -> bool:
    killer = Killer(at)
    try:
        await world.effect(killer).apply(plan, Said())
    except Killed:
        return True
    assert len(killer.passed) < at
    return False


@pytest.fixture
def twice(world: World) -> tuple[World, Callable[[], list[dict[str, object]]]]:
    """Return a machine with two files, one of two names, and how to look at them."""
    first = world.program("a/first")
    second = world.program("b/second", like=first)
    (world.box / "b/also").hardlink_to(second)
    paths = (first, second, world.box / "b/also")
    return world, lambda: [facts(path) for path in paths]


@pytest.mark.parametrize("finish", [True, False], ids=["finished", "taken back"])
async def test_killed_while_taking(twice: tuple[World, Callable[[], list[dict[str, object]]]], *, finish: bool) -> None:
    """At each point: finished by the same plan, then undone; or taken back at once: all is as it was."""
    world, look = twice
    before, points = look(), 0
    sha256 = digests(world.box / "a/first").sha256
    while True:
        plan = await world.plan(sha256=sha256, folders=[world.box])
        if not await _killed(world, plan, points + 1):
            break
        points += 1
        await world.states(plan)
        if finish:
            assert await world.take(plan) == ["DONE"] * 3
        assert await world.undo(plan) == ["DONE"] * 3, points
        assert look() == before, points
    assert points >= 6
    assert await world.undo(plan) == ["DONE"] * 3


async def test_killed_while_giving_back(twice: tuple[World, Callable[[], list[dict[str, object]]]]) -> None:
    """At each point, the same undo brings everything back, and leaves nothing in the vault."""
    world, look = twice
    before, points = look(), 0
    sha256 = digests(world.box / "a/first").sha256
    while True:
        plan = await world.plan(sha256=sha256, folders=[world.box])
        assert await world.take(plan) == ["DONE"] * 3
        back = replace(await world.effect().plan_revert(plan), action=plan.action)
        killed = await _killed(world, back, points + 1)
        seen = await world.states(back)
        assert set(seen) <= {"DONE", "PLANNED", "FAILED"}, points
        if seen != ["DONE"] * 3:
            # As the kit does: what is found to be done is not done again.
            assert await world.take(back) == ["DONE"] * 3, points
        assert look() == before, points
        world.effect()
        assert list((world.data / "vault").iterdir()) == [], points
        if not killed:
            break
        points += 1
    assert points >= 8
