"""Killed between any two steps, a file is whole at its place or whole in the vault, and the way can be finished.

The same holds for what would start it: a table of cron and a unit.
"""

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


async def _killed(world: World, plan: Plan, at: int) -> str:
    """Return the point at which it was killed; empty: it came to its end before."""
    killer = Killer(at)
    try:
        await world.effect(killer).apply(plan, Said())
    except Killed:
        return killer.passed[-1]
    assert len(killer.passed) < at
    return ""


@pytest.fixture
def twice(world: World) -> tuple[World, Callable[[], list[dict[str, object]]]]:
    """Return a machine with two files, one of two names, and how to look at them."""
    first = world.program("a/first")
    second = world.program("b/second", like=first)
    (world.box / "b/also").hardlink_to(second)
    table, unit = world.root / "etc/cron.d/table", world.root / "etc/systemd/system/x.service"
    for path, text in ((table, "* * * * * root {}\n# more\n"), (unit, "[Service]\nExecStart={}\n")):
        path.parent.mkdir(parents=True)
        path.write_text(text.format(first))
    paths = (first, second, world.box / "b/also", table, unit)
    # Numbers of the files too: what would start it comes back as the very file.
    return world, lambda: [{**facts(path), "number": path.stat().st_ino * (path in paths[3:])} for path in paths]


POINTS = {"quarantine.frozen", "quarantine.moved", "quarantine.stopped", "quarantine.sealed", "quarantine.dropped"} | {
    f"persistence.{step}" for step in ("noted", "made", "swapped")
}
POINTS_BACK = {f"restore.{step}" for step in ("opened", "linked", "marked", "dropped", "forgotten")} | {
    f"persistence.{step}" for step in ("restored", "finished", "forgotten")
}


@pytest.mark.parametrize("finish", [True, False], ids=["finished", "taken back"])
async def test_killed_while_taking(twice: tuple[World, Callable[[], list[dict[str, object]]]], *, finish: bool) -> None:
    """At each point: finished by the same plan, then undone; or taken back at once: all is as it was."""
    world, look = twice
    before, points = look(), list[str]()
    sha256 = digests(world.box / "a/first").sha256
    while True:
        plan = await world.plan(sha256=sha256, folders=[world.box])
        point = await _killed(world, plan, len(points) + 1)
        if not point:
            break
        points.append(point)
        await world.states(plan)
        if finish:
            assert await world.take(plan) == ["DONE"] * 5
        assert await world.undo(plan) == ["DONE"] * 5, points
        assert look() == before, points
        world.effect()
        assert list((world.data / "vault").iterdir()) == [], points
    assert set(points) == POINTS
    assert await world.undo(plan) == ["DONE"] * 5


async def test_killed_while_giving_back(twice: tuple[World, Callable[[], list[dict[str, object]]]]) -> None:
    """At each point, the same undo brings everything back, and leaves nothing in the vault."""
    world, look = twice
    before, points = look(), list[str]()
    sha256 = digests(world.box / "a/first").sha256
    while True:
        plan = await world.plan(sha256=sha256, folders=[world.box])
        assert await world.take(plan) == ["DONE"] * 5
        back = replace(await world.effect().plan_revert(plan), action=plan.action)
        point = await _killed(world, back, len(points) + 1)
        seen = await world.states(back)
        assert set(seen) <= {"DONE", "PLANNED", "FAILED"}, points
        if seen != ["DONE"] * 5:
            # As the kit does: what is found to be done is not done again.
            assert await world.take(back) == ["DONE"] * 5, points
        assert look() == before, points
        world.effect()
        assert list((world.data / "vault").iterdir()) == [], points
        if not point:
            break
        points.append(point)
    assert set(points) == POINTS_BACK
