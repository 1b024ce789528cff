"""After a reboot it is in force before the agent is there, which takes it over; broken, it is as configured."""

import asyncio
from pathlib import Path

import pytest
from quell.remediation.v1 import device_pb2, item_pb2, outcome_pb2, remediation_pb2
from quell.warrant.v1 import effect_report_pb2

from effect_runs import DONE, Silent, do, undo
from eventually import eventually
from execution_boot import Unit, reboot
from execution_world import Order, World
from kit_house import House
from quell_agent.effects.release_code_execution import ReleaseCodeExecution
from quell_agent.execution import memfd
from quell_executor.effect import Plan

DEVICE = f"devices/{'a' * 26}"
RESTRICT = remediation_pb2.Remediation(restrict_code_execution=device_pb2.RestrictCodeExecution(device=DEVICE))
RELEASE = remediation_pb2.Remediation(release_code_execution=device_pb2.ReleaseCodeExecution(device=DEVICE))
TAMPERED = effect_report_pb2.EFFECT_EVENT_TAMPERED


@pytest.fixture
def unit(world: World) -> Unit:
    """Return the unit for the world."""
    return Unit(world.data, str(world.root))


async def rebooted(world: World) -> None:
    """Reboot; the control of every test here: nothing is restricted by that."""
    await reboot(world.data, str(world.root))
    assert world.bad_runs()


async def broken(world: World) -> Plan:
    """Restrict, break what is saved, and reboot."""
    plan = (await do(world.effect(), Order())).plan
    (world.data / "policy.json").write_text('{"allowed": []}')
    await rebooted(world)
    return plan


async def test_it_is_in_force_without_the_agent(world: World, unit: Unit) -> None:
    """All of it is as ordered, and a process of the agent's that was just started finds it done and can release it."""
    plan = (await do(world.effect(), Order())).plan
    await rebooted(world)
    assert unit.start() == "started"
    assert (world.bad_runs(), world.good_runs()) == (False, True)
    assert not memfd.is_there() or memfd.read() == memfd.NEVER
    effect = world.effect()
    assert [each.state for each in await effect.probe(plan)] == [DONE, DONE]
    assert (await undo(effect, plan)).after == [DONE, DONE]
    assert world.bad_runs()
    assert not memfd.is_there() or memfd.read() == 0


async def test_the_agent_takes_it_over_as_it_is(world: World, unit: Unit, tmp_path: Path) -> None:
    """Guardian and guard stay the same, and nothing is reported that is none; then it is released by order."""
    house = House(tmp_path)
    house.more = {"restrict_code_execution": world.effect(), "release_code_execution": ReleaseCodeExecution()}
    await house.move_in()
    await house.connect()
    await house.carry_out(RESTRICT)
    await house.crash()
    await rebooted(world)
    assert unit.start() == "started"
    before = await world.status()
    house.center.reports.clear()
    await house.move_in()
    await house.connect()
    await house.until(lambda: bool(house.center.reports))
    assert TAMPERED not in {each.event for each in house.center.reports}
    after = await world.status()
    assert before is not None
    assert after is not None
    assert (after.guardian, after.guard) == (before.guardian, before.guard)
    receipt = await house.carry_out(RELEASE)
    assert (receipt.outcome.effect, world.bad_runs()) == (outcome_pb2.EFFECT_STATE_IN_FORCE, True)
    assert not unit.is_wanted()
    await house.crash()


async def test_after_a_release_a_boot_is_free(world: World, unit: Unit) -> None:
    """Nothing is left that could restrict it; control: before that there was."""
    plan = (await do(world.effect(), Order())).plan
    assert unit.is_wanted()
    assert (await undo(world.effect(), plan)).after == [DONE, DONE]
    assert not unit.is_wanted()
    assert list(world.data.glob("*.json")) == []


async def test_what_the_next_boot_needs_is_kept(world: World) -> None:
    """Whoever removes or breaks it is noticed, and it is put back; the guardian goes on meanwhile."""
    effect, saved = world.effect(), world.data / "policy.json"
    plan = (await do(effect, Order())).plan
    kept, status = saved.read_text(), await world.status()
    for content in (None, "{}"):
        watching = asyncio.create_task(effect.moved(plan))
        await asyncio.sleep(0)
        saved.unlink() if content is None else saved.write_text(content)
        await asyncio.wait_for(watching, 20)
        assert (await effect.probe(plan))[0].state == item_pb2.ITEM_STATE_PLANNED
        await effect.apply(plan, Silent())
        assert [each.state for each in await effect.probe(plan)] == [DONE, DONE]
        assert saved.read_text() == kept
    assert await world.status() == status
    await undo(effect, plan)


async def test_broken_and_open_it_says_so_and_is_open(world: World, unit: Unit) -> None:
    """The unit fails, everything starts, and the agent makes it right."""
    plan = await broken(world)
    said = unit.start()
    assert said.endswith("failed")
    assert "policy.json" in said
    assert "everything starts until the agent makes it right" in said
    assert world.bad_runs()
    effect = world.effect()
    await effect.apply(plan, Silent())
    assert [each.state for each in await effect.probe(plan)] == [DONE, DONE]
    assert not world.bad_runs()
    await undo(effect, plan)


async def test_a_broken_record_leaves_out_memory_alone(world: World, unit: Unit) -> None:
    """Programs with a file are restricted all the same, and it says what is not."""
    plan = (await do(world.effect(), Order())).plan
    (world.data / "record.json").write_text("[")
    await rebooted(world)
    said = unit.start()
    assert said.endswith("started")
    assert "programs in memory" in said
    assert not world.bad_runs()
    (world.data / "record.json").unlink()
    await undo(world.effect(), plan)


async def test_before_a_guard_is_ready_nobody_is_asked(world: World, unit: Unit) -> None:
    """Closed or not: who can't say what may start refuses nothing and holds nobody up, and takes over once it can."""
    world.dead = "closed"
    plan = (await do(world.effect(), Order())).plan
    await rebooted(world)
    status, hidden = world.database / "status", world.database / "hidden"
    status.rename(hidden)
    starting = await asyncio.create_subprocess_exec(*unit.commands()[-1])
    try:

        async def listens() -> bool:
            return await world.status() is not None

        assert await eventually(listens, bool)
        assert (world.bad_runs(), world.good_runs()) == (True, True)
        assert starting.returncode is None
        hidden.rename(status)
        assert await asyncio.wait_for(starting.wait(), 20) == 0
        assert (world.bad_runs(), world.good_runs()) == (False, True)
    finally:
        if starting.returncode is None:
            starting.kill()
    await undo(world.effect(), plan)
