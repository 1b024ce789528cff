"""Whoever of agent, guardian and guard dies or hangs, and when: nobody waits for ever, and the way can be finished."""

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from quell.remediation.v1 import item_pb2

from effect_runs import ACTION, DONE, Silent, do, undo
from eventually import eventually
from execution_world import SAID, Order, World, allowed, sha256
from quell_agent.execution.control import Status
from quell_executor.effect import Plan
from quell_runtime.seams import Point

BEYOND = 100


async def restricted(world: World) -> tuple[Plan, Status]:
    """Restrict, and tell who guards."""
    run = await do(world.effect(), Order())
    assert run.after == [DONE, DONE]
    status = await world.status()
    assert status is not None
    return run.plan, status


async def guarded_by_another(world: World, dead: int) -> None:
    """Wait until another guard is ready."""

    async def guard() -> int:
        status = await world.status()
        return status.guard if status and status.policy else 0

    await eventually(guard, lambda pid: pid not in (0, dead), within=30)


async def test_a_killed_guard_is_replaced(world: World) -> None:
    """Its successor decides as it did; meanwhile nobody waits."""
    plan, status = await restricted(world)
    os.kill(status.guard, signal.SIGKILL)
    assert world.good_runs()
    await guarded_by_another(world, status.guard)
    assert (world.bad_runs(), world.good_runs()) == (False, True)
    assert (await undo(world.effect(), plan)).after == [DONE, DONE]


async def test_a_guard_that_hangs_is_ended(world: World) -> None:
    """A start that waits for it is answered within seconds, and refused if it must be by the next."""
    _, status = await restricted(world)
    os.kill(status.guard, signal.SIGSTOP)
    assert await asyncio.to_thread(world.says, world.good, SAID) != "no answer"
    await guarded_by_another(world, status.guard)
    assert (world.bad_runs(), world.good_runs()) == (False, True)


async def test_what_a_guard_died_over_is_refused(world: World) -> None:
    """A guard that is killed while it reads a file leaves one question behind; it is refused, not left open."""
    big = world.stranger("big")
    os.truncate(big, 900 << 20)
    plan = await do(world.effect(), Order(allowed=[allowed(content=sha256(world.good))]))
    status = await world.status()
    assert status is not None
    trying = asyncio.create_task(asyncio.to_thread(world.says, big, SAID))

    async def reading() -> int:
        return worked(status.guard)

    first = await reading()
    await eventually(reading, lambda ticks: ticks > first + 5)
    os.kill(status.guard, signal.SIGKILL)
    assert await trying == "Operation not permitted"
    await undo(world.effect(), plan.plan)


async def test_a_killed_guardian_leaves_everything_open(world: World) -> None:
    """Nobody is asked any more; the agent notices, and the same plan makes it so again."""
    effect = world.effect()
    run = await do(effect, Order())
    status = await world.status()
    assert status is not None
    watching = asyncio.create_task(effect.moved(run.plan))
    await asyncio.sleep(0)
    os.kill(status.guardian, signal.SIGKILL)
    await asyncio.wait_for(watching, 20)

    async def bad_runs() -> bool:
        return world.bad_runs()

    assert await eventually(bad_runs, bool)
    assert (await effect.probe(run.plan))[0].state == item_pb2.ITEM_STATE_PLANNED
    await effect.apply(run.plan, Silent())
    assert [each.state for each in await effect.probe(run.plan)] == [DONE, DONE]
    assert not world.bad_runs()


async def test_a_guardian_that_hangs_is_replaced(world: World) -> None:
    """The agent ends it and starts another; and it can be released as well."""
    plan, status = await restricted(world)
    os.kill(status.guardian, signal.SIGSTOP)
    effect = world.effect()
    assert (await effect.probe(plan))[0].state == item_pb2.ITEM_STATE_PLANNED
    await effect.apply(plan, Silent())
    assert not world.bad_runs()
    assert (await undo(effect, plan)).after == [DONE, DONE]


async def test_watching_ends_when_a_guard_died(world: World) -> None:
    """Control: it goes on while nothing happens."""
    effect = world.effect()
    run = await do(effect, Order())
    status = await world.status()
    assert status is not None
    watching = asyncio.create_task(effect.moved(run.plan))
    assert not (await asyncio.wait({watching}, timeout=2.5))[0]
    os.kill(status.guard, signal.SIGKILL)
    await asyncio.wait_for(watching, 20)


@pytest.mark.parametrize("dead", ["open", "closed"])
async def test_without_a_guard_it_is_open_or_closed_as_configured(tmp_path: Path, dead: str) -> None:
    """While no guard can be had, a packaged program starts or does not, nobody waits, and it can be released."""
    world = World(tmp_path / "scratch", dead=dead, login=(f"{tmp_path}/scratch/sbin/*",))
    login = world.stranger("sbin/login")
    plan, status = await restricted(world)
    policy = world.data / "policy.json"
    kept = policy.read_text()
    policy.write_text("none")
    os.kill(status.guard, signal.SIGKILL)

    async def unguarded() -> bool:
        now = await world.status()
        return now is not None and not now.policy

    assert await eventually(unguarded, bool)
    assert world.good_runs() == (dead == "open")
    assert world.runs(login, SAID)
    policy.write_text(kept)
    await guarded_by_another(world, status.guard)
    assert (world.bad_runs(), world.good_runs()) == (False, True)
    policy.write_text("none")
    effect = world.effect()
    assert (await undo(effect, plan)).after == [DONE, DONE]


def test_the_agent_killed_at_each_step(world: World) -> None:
    """Killed between any two steps of restricting and of releasing: finished by the same plan, or taken back."""
    points = 0
    for finish in (True, False):
        for at in range(1, BEYOND):
            plan = asyncio.run(planned(world))
            if not killed(world, at, plan):
                break
            points += 1
            if finish:
                assert asyncio.run(applied(world, plan)) == [DONE, DONE]
                assert not world.bad_runs()
            assert asyncio.run(taken_back(world, plan)) == [DONE, DONE]
            assert world.bad_runs()
        assert asyncio.run(taken_back(world, plan)) == [DONE, DONE]
    for at in range(1, BEYOND):
        plan = asyncio.run(planned(world))
        assert asyncio.run(applied(world, plan)) == [DONE, DONE]
        back = asyncio.run(reverted(world, plan))
        hit = killed(world, at, back)
        assert asyncio.run(taken_back(world, plan)) == [DONE, DONE]
        assert world.bad_runs()
        if not hit:
            break
        points += 1
    assert points >= 15


def worked(pid: int) -> int:
    """Return how long a process has worked, in ticks."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])


def killed(world: World, at: int, plan: Plan) -> bool:
    """Have another process apply a plan that dies at the nth point; tell whether it came to that."""
    child = os.fork()
    if not child:
        asyncio.run(world.effect(dying(at)).apply(plan, Silent()))
        os._exit(0)
    return os.waitpid(child, 0)[1] != 0


def dying(at: int) -> Point:
    """Return points of which the nth kills."""
    passed: list[str] = []

    def point(name: str) -> None:
        passed.append(name)
        if len(passed) == at:
            os.kill(os.getpid(), signal.SIGKILL)

    return point


async def planned(world: World) -> Plan:
    """Plan."""
    return replace(await world.effect().plan(Order(), None), action=ACTION)


async def applied(world: World, plan: Plan) -> list[int]:
    """Apply, in a process that was just started, what is not as planned yet."""
    effect = world.effect()
    await effect.apply(plan, Silent())
    return [each.state for each in await effect.probe(plan)]


async def reverted(world: World, plan: Plan) -> Plan:
    """Plan to take it back."""
    return await world.effect().plan_revert(plan)


async def taken_back(world: World, plan: Plan) -> list[int]:
    """Take it back."""
    return await applied(world, await reverted(world, plan))
