"""Killed between any two steps: each file is whole, one or the other, and both ways can be gone to their end."""

import asyncio
import sys
from pathlib import Path

from quell.remediation.v1 import email_pb2

import forwarding_death
from effect_runs import DONE, PLANNED, carry_out, do
from forwarding_desk import ANN, ORDER
from home_tree import HomeTree
from quell_email.effects.turn_off_external_forwarding import TurnOffExternalForwarding
from quell_executor.effect import Plan

ITEMS = 3
SWAPS = ["forwards.written", "forwards.exchanged"]
DO = ["forwarding.recorded", *SWAPS, "forwarding.replaced"] * ITEMS
UNDO = [*SWAPS, "forwarding.given_back"] * ITEMS


async def killed(tree: HomeTree, kept: Path, way: str, number: int) -> list[str]:
    """Have a process work and be killed; return the points that it passed."""
    command = [sys.executable, forwarding_death.__file__, tree.pattern, str(kept), way, str(number)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    return said.decode().split()


Photograph = dict[str, tuple[bytes | str, int, int, int]]


def seen(tree: HomeTree) -> Photograph:
    """Return every file that anything reads: not what the process has begun to write."""
    return {name: facts for name, facts in tree.photograph(ANN).items() if ".quell-forward-" not in name}


def whole(tree: HomeTree, *photographs: Photograph) -> bool:
    """Tell whether each file is as one of the photographs has it."""
    return all(any(facts == photograph[name] for photograph in photographs) for name, facts in seen(tree).items())


async def test_killed_while_turning_off_and_while_giving_back(
    tree: HomeTree, effect: TurnOffExternalForwarding, tmp_path: Path
) -> None:
    """At each point: the kept pre-images suffice to give all back, and the order can be finished."""
    kept = tmp_path / "kept"
    before = tree.photograph(ANN)
    run = await do(effect, ORDER)
    after = tree.photograph(ANN)
    back = await effect.plan_revert(run.plan)
    await carry_out(effect, back)
    for number in range(1, len(DO) + 1):
        assert await killed(tree, kept, "do", number) == DO[:number]
        assert whole(tree, before, after)
        assert set((await carry_out(effect, run.plan)).after) == {DONE}
        assert seen(tree) == after
        assert await killed(tree, kept, "undo", min(number, len(UNDO))) == UNDO[: min(number, len(UNDO))]
        assert whole(tree, before, after)
        assert set((await carry_out(effect, back)).after) == {DONE}
        assert seen(tree) == before
        assert await effect.marks() == []
    await carry_out(effect, run.plan)
    await carry_out(effect, back)
    assert tree.photograph(ANN) == before, "what the killed have left is swept"


async def test_marks_alone_give_all_back(tree: HomeTree, effect: TurnOffExternalForwarding, tmp_path: Path) -> None:
    """Killed after the first place was replaced: its mark knows what was there, and who did it."""
    before = tree.photograph(ANN)
    await killed(tree, tmp_path / "kept", "do", 4)
    (mark,) = await effect.marks()
    order = email_pb2.TurnOffExternalForwarding(mailbox=f"mailboxes/{ANN}")
    assert (mark.action, mark.remediation.turn_off_external_forwarding) == (forwarding_death.ACTION, order)
    assert [finding.state for finding in await effect.probe(Plan((mark.item,), frozenset()))] == [DONE]
    run = await carry_out(effect, await effect.plan_revert(Plan((mark.item,), frozenset())))
    assert (run.before, run.after) == ([PLANNED], [DONE])
    assert tree.photograph(ANN) == before


async def test_what_is_damaged_is_left_out(tree: HomeTree, effect: TurnOffExternalForwarding, tmp_path: Path) -> None:
    """One pre-image that can't be read is no reason to forget the others; the journal's own undo needs none."""
    before = tree.photograph(ANN)
    run = await do(effect, ORDER)
    first, second, _ = sorted((tmp_path / "kept").iterdir())
    first.write_bytes(b"{")
    second.write_bytes(b'{"action": "a", "remediation": "zz", "item": ""}')
    assert len(await effect.marks()) == 1
    await carry_out(effect, await effect.plan_revert(run.plan))
    assert tree.photograph(ANN) == before
