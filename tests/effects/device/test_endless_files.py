"""A file that gives no end holds no search up, and what is put under lock has one."""

import os
from pathlib import Path

import pytest

from quarantine_world import World, digests
from quell_agent import files
from quell_agent.processes import Processes
from quell_executor.effect import RefusedError

MIB = 1 << 20
GIANT = 1 << 40


def giant(world: World) -> Path:
    """Make a file that takes hours to read, and nothing on disk."""
    path = world.box / "giant"
    path.touch()
    os.truncate(path, GIANT)
    return path


def impatient(world: World) -> None:
    """Give each file no more time than its first part takes."""
    world.processes = Processes(world.protected.runs_the_machine, seconds=0)


async def test_giants_that_cost_nothing_are_passed_over(world: World) -> None:
    """Searched by content: what is meant is found beside it; only what is mostly holes is such a giant."""
    evil = world.program("evil")
    assert files.is_sparse_giant(giant(world).stat())
    assert not files.is_sparse_giant(evil.stat())
    plan = await world.plan(sha256=digests(evil).sha256, folders=[world.box])
    assert await world.take(plan) == ["DONE"]
    assert not evil.exists()


async def test_by_path_it_is_refused(world: World) -> None:
    """With its reason; nothing is taken."""
    impatient(world)
    with pytest.raises(RefusedError) as refusal:
        await world.plan(path=str(giant(world)))
    assert refusal.value.failure.reason == "TOO_LARGE"
    assert (world.box / "giant").exists()


async def test_among_others_it_is_passed_over(world: World) -> None:
    """One that can't be read in time, below a folder that is searched: the rest is found."""
    evil, slow = world.program("evil"), world.box / "slow"
    slow.write_bytes(os.urandom(2 * MIB))
    impatient(world)
    plan = await world.plan(sha256=digests(evil).sha256, folders=[world.box])
    assert await world.take(plan) == ["DONE"]
    assert (evil.exists(), slow.exists()) == (False, True)
