"""The small world of files keeps the contract of effects, and the contract sees those that don't."""

from collections.abc import Callable

import pytest
from quell.remediation.v1 import device_pb2, target_pb2

from kit_world import DEVICE, Files, Quarantine, content
from quell_executor.contract import EffectContract, World
from quell_executor.effect import Plan, Progress

ORDER = device_pb2.StopAndQuarantine(device=DEVICE, file=target_pb2.FileSelector(sha256=content("bad")))


class Paths:
    """Two bad files and a good one."""

    def __init__(self, effect: Callable[[Files], Quarantine] = Quarantine) -> None:
        """Make them."""
        self.files = Files({"/a": content("bad"), "/b": content("bad"), "/c": content("good")})
        self.effect = effect(self.files)
        self.order = ORDER

    async def look(self) -> object:
        """Return every file."""
        return dict(self.files.files)

    async def disturb(self) -> None:
        """Take the place of one."""
        self.files.files["/a"] = content("mine")


class TestFiles(EffectContract):
    """The contract."""

    @pytest.fixture
    def world(self) -> World:
        """Return a new world."""
        return Paths()


class Forgets(Quarantine):
    """Puts something else back."""

    def _change(self, plan: Plan, item: object) -> None:
        super()._change(plan, item)  # type: ignore[arg-type]
        if plan.reverts:
            self.world.files["/a"] = content("else")


class Stops(Quarantine):
    """Does only the first."""

    async def apply(self, plan: Plan, progress: Progress) -> None:
        """Do it."""
        await super().apply(Plan(plan.items[:1], plan.names, plan.reverts, plan.action), progress)


class Overwrites(Quarantine):
    """Undoes without a look at what others did."""

    async def apply(self, plan: Plan, progress: Progress) -> None:
        """Do it."""
        if plan.reverts:
            self.world.files = {path: kept for path, kept in self.world.files.items() if kept != content("mine")}
        await super().apply(plan, progress)


class Hasty(Quarantine):
    """Changes the world while it plans."""

    async def plan_revert(self, plan: Plan) -> Plan:
        """Plan, and more."""
        self.world.files["/new"] = content("new")
        return await super().plan_revert(plan)


@pytest.mark.parametrize(
    ("effect", "check"),
    [
        (Forgets, "test_a_revert_restores_exactly"),
        (Forgets, "test_it_can_be_interrupted_anywhere"),
        (Stops, "test_what_is_applied_is_seen"),
        (Stops, "test_a_crash_after_some_items_is_finished"),
        (Stops, "test_applied_twice_is_applied_once"),
        (Overwrites, "test_what_others_changed_is_left_alone"),
        (Hasty, "test_a_plan_changes_nothing"),
    ],
)
async def test_an_effect_that_breaks_its_word_is_seen(effect: type[Quarantine], check: str) -> None:
    """Control: each check fails for an effect that breaks what it checks."""
    with pytest.raises(AssertionError):
        await getattr(EffectContract(), check)(Paths(effect))


async def test_a_control_that_passes_is_a_failure() -> None:
    """An effect whose world changes by itself would pass without being applied: the suite says so."""
    paths = Paths()

    async def look() -> object:
        before = dict(paths.files.files)
        for path, digest in before.items():
            if digest == content("bad"):
                del paths.files.files[path]
                paths.files.vault[f"device.file:{digest}:{path}"] = "magic"
        return before

    paths.look = look  # type: ignore[method-assign]
    with pytest.raises(AssertionError, match="an effect that does nothing passes"):
        await EffectContract().test_the_check_sees_an_effect_that_does_nothing(paths)
