"""What is not as it should be is told by its reason, and as soon as it is, nothing is."""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from apart import mount_memory
from effect_runs import DONE, do, undo
from eventually import eventually
from execution_world import Order, World
from quell_agent.effects.restrict_code_execution import House, RestrictCodeExecution
from quell_agent.execution.policy import Policy
from quell_executor.effect import Plan, RefusedError


async def reason(effect: RestrictCodeExecution, plan: Plan) -> str:
    """Return why it is not so; empty: it is."""
    found = (await effect.probe(plan))[0]
    return found.failure.reason if found.failure else ""


async def test_code_of_ours_that_others_could_change(world: World) -> None:
    """A library that is loaded from a file that anybody may write; control: root's alone, it is no hindrance."""
    library = world.root / "library.so"
    shutil.copy(world.library, library)
    ctypes.CDLL(str(library))
    library.chmod(0o666)
    with pytest.raises(RefusedError) as refusal:
        await world.effect().plan(Order(), None)
    assert refusal.value.failure.reason == "AGENT_NOT_SAFE"
    library.chmod(0o644)
    assert (await world.effect().plan(Order(), None)).items


async def test_a_folder_in_which_nothing_may_start(world: World) -> None:
    """Before, it can't be told whether strangers start, nor while it is in force; control: else it can."""
    mount_memory(world.data)
    effect = world.effect()
    mounts("mount", "-o", "remount,noexec", world.data)
    with pytest.raises(RefusedError) as refusal:
        await effect.plan(Order(), None)
    assert refusal.value.failure.reason == "CANARY_FAILED"
    mounts("mount", "-o", "remount,exec", world.data)
    run = await do(effect, Order())
    assert run.after == [DONE, DONE]
    mounts("mount", "-o", "remount,noexec", world.data)
    assert await reason(effect, run.plan) == "CANARY_FAILED"
    mounts("mount", "-o", "remount,exec", world.data)
    assert await reason(effect, run.plan) == ""
    assert (await undo(effect, run.plan)).after == [DONE, DONE]


def mounts(*words: str | Path) -> None:
    """Change what is mounted."""
    subprocess.run(words, check=True, timeout=30)  # noqa: S603 - ours


async def test_somebody_else_who_refuses(world: World) -> None:
    """Released, strangers still do not start: another guard, of another folder, is there; without it they do."""
    effect = world.effect()
    run = await do(effect, Order())
    base = Policy(packages=str(world.database))
    other = RestrictCodeExecution(House(world.root / "other", str(world.root), world.true, base))
    others = await do(other, Order())
    assert (await undo(effect, run.plan)).reasons[0] == "STILL_REFUSED"
    assert not world.bad_runs()
    await undo(other, others.plan)
    assert world.bad_runs()
    assert await reason(effect, await effect.plan_revert(run.plan)) == ""


async def test_a_file_system_that_can_not_be_watched(world: World) -> None:
    """Mounted below another at one place, no path leads to it, and who stands in it could start things from there.

    Control: as soon as it is to be seen it is watched.
    """
    effect = world.effect()
    run = await do(effect, Order())
    status = await world.status()
    assert status is not None
    place = world.root / "place"
    # So that it never sees the lower one alone.
    os.kill(status.guardian, signal.SIGSTOP)
    mount_memory(place)
    mount_memory(place)
    os.kill(status.guardian, signal.SIGCONT)
    assert await reason(effect, run.plan) == "NOT_WATCHED"
    mounts("umount", place)
    assert await eventually(lambda: reason(effect, run.plan), lambda why: not why, within=30) == ""
    assert (await undo(effect, run.plan)).after == [DONE, DONE]


async def test_a_guard_that_is_killed_again_and_again(world: World) -> None:
    """The guardian is there, and nobody answers; left alone, the next guard does."""
    effect = world.effect()
    run = await do(effect, Order())
    status = await world.status()
    assert status is not None

    async def killed() -> str:
        with contextlib.suppress(psutil.NoSuchProcess):
            for guard in psutil.Process(status.guardian).children():
                guard.send_signal(signal.SIGKILL)
        return await reason(effect, run.plan)

    assert await eventually(killed, lambda why: why == "GUARD_DEAD") == "GUARD_DEAD"
    assert await eventually(lambda: reason(effect, run.plan), lambda why: not why, within=30) == ""
    assert (await undo(effect, run.plan)).after == [DONE, DONE]
