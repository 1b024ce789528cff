"""Mail goes outside no more, goes inside as before, is kept, and goes outside again after undo: by delivering it."""

from collections.abc import Awaitable, Callable

import pytest

from effect_runs import DONE, PLANNED, Run, do, undo
from forwarding_desk import MINE, ORDER, Desk

OUTSIDE, TEAM = "ann@mail.test", "team@example.org"


async def planned_only(desk: Desk) -> Run:
    """Plan, and change nothing."""
    plan = await desk.effect().plan(ORDER, None)
    return Run(plan, [], [], [])


async def turned_off(desk: Desk) -> Run:
    """Turn it off."""
    run = await do(desk.effect(), ORDER)
    assert set(run.before) == {PLANNED}
    assert set(run.after) == {DONE}
    return run


async def assert_mail_stays_inside(desk: Desk, change: Callable[[Desk], Awaitable[Run]]) -> Run:
    """Deliver before and after a change: outside gets nothing any more, the team does, and the message is kept."""
    assert desk.delivered() == ([OUTSIDE, TEAM], 0)
    run = await change(desk)
    assert desk.delivered() == ([TEAM], 1)
    return run


async def test_two_redirects_then_one_then_two(desk: Desk) -> None:
    """The script has its bytes back after undo, and does what it did; twice each is once."""
    await desk.write("mine", MINE)
    before = await desk.scripts()
    run = await assert_mail_stays_inside(desk, turned_off)
    assert (await desk.scripts())["mine"] == (
        MINE.replace(b'redirect /* my own */ "ann@mail.test";', b" /* my own */ "),
        True,
    )
    assert (await do(desk.effect(), ORDER)).before == [DONE]
    assert (await undo(desk.effect(), run.plan)).after == [DONE]
    assert await desk.scripts() == before
    assert desk.delivered() == ([OUTSIDE, TEAM], 0)
    assert (await undo(desk.effect(), run.plan)).before == [DONE]


async def test_control_with_the_effect_off_mail_goes_outside(desk: Desk) -> None:
    """The same check sees it."""
    await desk.write("mine", MINE)
    with pytest.raises(AssertionError):
        await assert_mail_stays_inside(desk, planned_only)


TO_TEAM = b' redirect :copy "team@example.org";'
CASES = {
    "copy": (b'require "copy"; redirect :copy "ann@mail.test";' + TO_TEAM, 1),
    "thrown away": (b'redirect "ann@mail.test"; redirect "team@example.org"; discard;', 0),
    "variable": (
        b'require ["variables", "copy"]; set "d" "mail"; set "a" "ann@${d}.test"; redirect "${a}";' + TO_TEAM,
        0,
    ),
    "encoded": (b'require ["encoded-character", "copy"]; redirect "ann${hex:40}mail.test";' + TO_TEAM, 0),
    "nested": (b'require "copy"; if true { if not false { redirect "ann@mail.test"; } }' + TO_TEAM, 0),
    "notice": (b'require ["enotify", "copy"]; notify "mailto:ann@mail.test";' + TO_TEAM, 1),
}
"""Scripts, and how many copies come into the inbox while they forward outside."""


@pytest.mark.parametrize("case", CASES)
async def test_however_it_is_written(desk: Desk, case: str) -> None:
    """What went outside is in the inbox afterwards."""
    script, kept_before = CASES[case]
    await desk.write("mine", script)
    assert desk.delivered() == ([OUTSIDE, TEAM], kept_before)
    run = await turned_off(desk)
    assert desk.delivered() == ([TEAM], 1)
    assert set((await undo(desk.effect(), run.plan)).after) == {DONE}
    assert desk.delivered() == ([OUTSIDE, TEAM], kept_before)


async def test_a_forward_in_an_included_script_is_taken_out_there(desk: Desk) -> None:
    """The script that includes it stays as it is, and mail that it throws away is kept."""
    outer = b'require "include"; include :personal "away"; discard;\n'
    await desk.write("away", b'redirect "ann@mail.test";\n', active=False)
    await desk.write("outer", outer)
    assert desk.delivered() == ([OUTSIDE], 0)
    run = await turned_off(desk)
    assert [item.item.forwarding.place for item in run.plan.items] in (["away"], ["sieve/away.sieve"])
    assert desk.delivered() == ([], 1)
    assert (await desk.scripts())["outer"] == (outer, True)
    await undo(desk.effect(), run.plan)
    assert desk.delivered() == ([OUTSIDE], 0)


async def test_a_script_that_cant_be_changed_exactly_is_turned_off_as_a_whole(desk: Desk) -> None:
    """Mail is kept, the item names the rules that stand still, and undo gives the script back."""
    script = (
        b'require ["variables", "fileinto"];\r\n# rule:[lists]\r\nif header :contains "subject" "list" { keep; }\r\n'
        b'# rule:[away]\r\nif header :matches "subject" "the *" { set "who" "ann"; redirect "${who}@${1}.test"; }\r\n'
    )
    await desk.write("mine", script)
    assert desk.delivered() == (["ann@report.test"], 0)
    run = await turned_off(desk)
    (item,) = (item.item.forwarding for item in run.plan.items)
    assert item.whole == "an address can't be told before mail comes"
    assert list(item.other_rules) == ["lists", "away"]
    assert run.plan.notes == (f"turns off {item.place} as a whole: {item.whole}",)
    assert desk.delivered() == ([], 1)
    await undo(desk.effect(), run.plan)
    assert await desk.scripts() == {"mine": (script, True)}
    assert desk.delivered() == (["ann@report.test"], 0)


async def test_a_script_that_waits_is_disarmed_too(desk: Desk) -> None:
    """Its user makes it active afterwards, and mail stays inside."""
    await desk.write("away", b'redirect "ann@mail.test";', active=False)
    await desk.write("mine", b"keep;")
    await turned_off(desk)
    async with desk.user() as at:
        await at.ask(b"SETACTIVE", b"away")
    assert desk.delivered() == ([], 1)
