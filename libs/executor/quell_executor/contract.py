"""The contract suite for effects: what ours, a fake and a stranger's must do alike.

Give a `World` and run the checks by pytest (asyncio_mode "auto"):

    class TestMyEffect(EffectContract):
        @pytest.fixture
        def world(self) -> World:
            return MyWorld()
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from google.protobuf.message import Message
from quell.remediation.v1 import item_pb2

from quell_executor.effect import Effect, Finding, Plan, Progress
from quell_executor.progress import Silent

ACTION = "00000000-0000-4000-8000-000000000001"
DONE = item_pb2.ITEM_STATE_DONE
INTERRUPTIONS = (0, 1, 2, 3, 5, 8, 13, 21)
"""After how many turns of the loop an effect is interrupted; one that is quicker has finished."""


class World(Protocol):
    """A piece of the world with a target in it that is not as ordered yet; of several items, if a target can be."""

    @property
    def effect(self) -> Effect[Any]:
        """The effect."""

    @property
    def order(self) -> Message:
        """The order that means the target."""

    async def look(self) -> object:
        """Return how the world is, as people and programs see it; equal when it is equal. Not what the effect keeps."""

    async def disturb(self) -> None:
        """Change, as others would, one item that was changed, so that it can't be put back any more."""


class SwitchedOff:
    """An effect that plans and looks, and changes nothing: the control. What it passes proves nothing."""

    def __init__(self, effect: Effect[Any]) -> None:
        """Take the real one."""
        self.plan = effect.plan
        self.probe = effect.probe
        self.plan_revert = effect.plan_revert

    async def apply(self, plan: Plan, progress: Progress) -> None:
        """Change nothing."""


class EffectContract:
    """The checks. Each starts from a new world."""

    async def test_a_plan_changes_nothing(self, world: World) -> None:
        """Planning, probing and planning to revert leave the world as it is, and find that nothing is done."""
        before = await world.look()
        plan = await _planned(world)
        findings = await world.effect.probe(plan)
        await world.effect.plan_revert(plan)
        assert plan.items, "a world needs a target"  # noqa: S101 - a test
        assert len({item.key for item in plan.items}) == len(plan.items), "an item key is there twice"  # noqa: S101
        assert all(finding.state == item_pb2.ITEM_STATE_PLANNED for finding in findings), findings  # noqa: S101
        assert await world.look() == before  # noqa: S101

    async def test_what_is_applied_is_seen(self, world: World) -> None:
        """After apply the probe says DONE of every item, and the world is another."""
        await _applied(world, world.effect)

    async def test_the_check_sees_an_effect_that_does_nothing(self, world: World) -> None:
        """Control: the same check fails with the effect switched off."""
        try:
            await _applied(world, SwitchedOff(world.effect))
        except AssertionError:
            return
        raise AssertionError("an effect that does nothing passes")

    async def test_applied_twice_is_applied_once(self, world: World) -> None:
        """A second apply of the same plan leaves what the first did, and a new plan finds all of it done."""
        plan = await _applied(world, world.effect)
        after = await world.look()
        await world.effect.apply(plan, Silent())
        assert await world.look() == after  # noqa: S101
        _all_done(await world.effect.probe(await _planned(world)))

    async def test_a_revert_restores_exactly(self, world: World) -> None:
        """What a plan replaced comes back, once or twice; the probe of the revert says DONE."""
        before = await world.look()
        plan = await _applied(world, world.effect)
        for _ in range(2):
            await _reverted(world, plan)
            assert await world.look() == before  # noqa: S101

    async def test_a_crash_after_some_items_is_finished(self, world: World) -> None:
        """When only the first items were changed, applying the whole plan makes the rest, and undo brings all back."""
        before = await world.look()
        plan = await _planned(world)
        await world.effect.apply(replace(plan, items=plan.items[:1]), Silent())
        first, *others = await world.effect.probe(plan)
        assert first.state == DONE  # noqa: S101
        assert not any(finding.state == DONE for finding in others)  # noqa: S101
        await world.effect.apply(plan, Silent())
        _all_done(await world.effect.probe(plan))
        back = await world.effect.plan_revert(plan)
        await world.effect.apply(replace(back, items=back.items[:1]), Silent())
        await _reverted(world, plan)
        assert await world.look() == before  # noqa: S101

    async def test_it_can_be_interrupted_anywhere(self, world: World) -> None:
        """Interrupted, forth or back, it can be looked at, finished, and brought back exactly."""
        before = await world.look()
        for turns in INTERRUPTIONS:
            plan = await _planned(world)
            await _interrupted(world.effect, plan, turns)
            await world.effect.probe(plan)
            await world.effect.apply(plan, Silent())
            _all_done(await world.effect.probe(plan))
            await _interrupted(world.effect, await world.effect.plan_revert(plan), turns)
            await _reverted(world, plan)
            assert await world.look() == before  # noqa: S101

    async def test_what_others_changed_is_left_alone(self, world: World) -> None:
        """An item that others changed since is a conflict, and stays as they left it; a failure says what differs."""
        plan = await _applied(world, world.effect)
        await world.disturb()
        disturbed = await world.look()
        back = await world.effect.plan_revert(plan)
        findings = list(await world.effect.probe(back))
        conflicts = [finding for finding in findings if finding.state == item_pb2.ITEM_STATE_CONFLICT]
        assert conflicts, findings  # noqa: S101
        assert all(finding.failure for finding in conflicts), "a conflict must say what differs"  # noqa: S101
        pairs = zip(back.items, findings, strict=True)
        only = tuple(item for item, finding in pairs if finding.state == item_pb2.ITEM_STATE_CONFLICT)
        await world.effect.apply(replace(back, items=only), Silent())
        assert await world.look() == disturbed  # noqa: S101


async def _planned(world: World) -> Plan:
    return replace(await world.effect.plan(world.order, None), action=ACTION)


async def _applied(world: World, effect: Effect[Any]) -> Plan:
    before = await world.look()
    plan = await _planned(world)
    await effect.apply(plan, Silent())
    _all_done(await effect.probe(plan))
    assert await world.look() != before, "nothing has changed"  # noqa: S101
    return plan


async def _reverted(world: World, plan: Plan) -> None:
    back = await world.effect.plan_revert(plan)
    assert back.reverts  # noqa: S101
    assert {item.key for item in back.items} == {item.key for item in plan.items}  # noqa: S101
    await world.effect.apply(back, Silent())
    _all_done(await world.effect.probe(back))


def _all_done(findings: Sequence[Finding]) -> None:
    assert all(finding.state == DONE for finding in findings), findings  # noqa: S101


async def _interrupted(effect: Effect[Any], plan: Plan, turns: int) -> None:
    applying = asyncio.create_task(effect.apply(plan, Silent()))
    for _ in range(turns):
        await asyncio.sleep(0)
    applying.cancel()
    await asyncio.gather(applying, return_exceptions=True)
