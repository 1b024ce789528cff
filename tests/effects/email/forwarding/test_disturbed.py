"""What users do between do and undo: exact, or a conflict that says what differs, and nothing is changed."""

from dataclasses import replace

import pytest

from effect_runs import ACTION, CONFLICT, DONE, MISSING, PLANNED, Silent, do, undo
from forwarding_desk import ANN, MINE, ORDER, Desk
from quell_email.domain.exclusions import Exclusions
from quell_email.effects.turn_off_external_forwarding import TurnOffExternalForwarding
from quell_email.store.pre_images import PreImages
from quell_executor.effect import RefusedError

AGAIN = b'redirect "ann@other.test";\n'


async def edited(desk: Desk) -> None:
    """Add a rule."""
    await desk.write("mine", (await desk.scripts())["mine"][0] + b"stop;\nkeep;\n")


async def switched(desk: Desk) -> None:
    """Run another script."""
    await desk.write("other", b"keep;\n")


async def deleted(desk: Desk) -> None:
    """Delete it."""
    async with desk.user() as at:
        await at.ask(b"SETACTIVE", b"")
        await at.ask(b"DELETESCRIPT", b"mine")


DISTURBED = {
    "edited": (edited, "SCRIPT_CHANGED", "its user has changed it since: 2 lines came and 0 went, from line 9 on"),
    "switched": (switched, "ACTIVE_CHANGED", "it is no longer the one that the server runs"),
    "deleted": (deleted, "SCRIPT_GONE", "its user has deleted it since"),
}


@pytest.mark.parametrize("how", DISTURBED)
async def test_what_its_user_has_done_since_is_a_conflict(desk: Desk, how: str) -> None:
    """It says what differs, and leaves it."""
    disturb, reason, message = DISTURBED[how]
    await desk.write("mine", MINE)
    run = await do(desk.effect(), ORDER)
    await disturb(desk)
    before = await desk.scripts()
    back = await undo(desk.effect(), run.plan)
    assert (back.before, back.after, back.reasons) == ([CONFLICT], [CONFLICT], [reason])
    (finding,) = await desk.effect().probe(back.plan)
    assert finding.failure
    assert finding.failure.message == message
    await desk.effect().apply(back.plan, Silent())
    assert await desk.scripts() == before


async def test_a_forward_that_its_user_adds_again_is_seen(desk: Desk) -> None:
    """The probe says that it is no longer as ordered; an order anew turns it off."""
    await desk.write("mine", MINE)
    run = await do(desk.effect(), ORDER)
    await desk.write("mine", AGAIN)
    (finding,) = await desk.effect().probe(run.plan)
    assert (finding.state, finding.failure and finding.failure.reason) == (CONFLICT, "SCRIPT_CHANGED")
    assert desk.delivered() == (["ann@other.test"], 0)
    assert (await do(desk.effect(), ORDER)).after == [DONE]
    assert desk.delivered() == ([], 1)


async def test_a_script_that_its_user_makes_harmless_is_as_ordered(desk: Desk) -> None:
    """What is there is read, not compared with what we wrote; a script that is gone is missing."""
    await desk.write("mine", MINE)
    run = await do(desk.effect(), ORDER)
    await desk.write("mine", b"keep;\n")
    assert [finding.state for finding in await desk.effect().probe(run.plan)] == [DONE]
    await deleted(desk)
    assert [finding.state for finding in await desk.effect().probe(run.plan)] == [MISSING]


async def test_what_is_written_between_plan_and_apply_stays(desk: Desk) -> None:
    """The plan rests on bytes that are no more: nothing is written over the new ones."""
    await desk.write("mine", MINE)
    plan = replace(await desk.effect().plan(ORDER, None), action=ACTION)
    assert [finding.state for finding in await desk.effect().probe(plan)] == [PLANNED]
    await desk.write("mine", AGAIN)
    await desk.effect().apply(plan, Silent())
    assert await desk.scripts() == {"mine": (AGAIN, True)}
    assert [finding.state for finding in await desk.effect().probe(plan)] == [CONFLICT]


async def test_a_mailbox_without_forwards_needs_nothing(desk: Desk) -> None:
    """The plan is empty, and fences the mailbox all the same."""
    await desk.write("mine", b'redirect "team@example.org";')
    plan = await desk.effect().plan(ORDER, None)
    assert not plan.items
    assert plan.names == {f"email.forwarding:{ANN}"}


async def test_an_excluded_mailbox_is_left_alone(desk: Desk) -> None:
    """The security team's own."""
    await desk.write("mine", MINE)
    exclusions = Exclusions(frozenset({ANN}))
    effect = TurnOffExternalForwarding(desk.forwards, PreImages(desk.kept), {"example.org"}, exclusions)
    with pytest.raises(RefusedError, match="EXCLUDED_MAILBOX"):
        await effect.plan(ORDER, None)
