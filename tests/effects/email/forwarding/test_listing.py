"""Who forwards outside now: by what is there, and only what the server runs."""

import pytest

from effect_runs import do
from forwarding_desk import ANN, ORDER, OURS, Desk, server
from home_tree import HomeTree
from mail_lab import MailLab
from quell_email.maildir.forwards import HomeForwards
from quell_email.sieve.places import forwardings
from quell_executor.effect import RefusedError

OUTSIDE = b'redirect "ann@mail.test";'


async def listed(desk: Desk) -> list[tuple[str, bool]]:
    """Return where Ann's mail goes, and whether that is outside."""
    return [(found.address, found.external) for found in await forwardings(desk.forwards, ANN, OURS)]


async def test_active_scripts_and_what_they_include_are_told_of(desk: Desk) -> None:
    """Not what waits."""
    await desk.write("waiting", b'redirect "ann@waiting.test";', active=False)
    await desk.write("within", OUTSIDE, active=False)
    await desk.write("mine", b'require "include"; include "within"; redirect "team@example.org";')
    assert await listed(desk) == [("ann@mail.test", True), ("team@example.org", False)]
    await do(desk.effect(), ORDER)
    assert await listed(desk) == [("team@example.org", False)]


async def test_what_cant_be_told_is_outside(desk: Desk) -> None:
    """With an empty address."""
    await desk.write("mine", b'require "variables"; if header :matches "subject" "*" { redirect "${1}"; }')
    assert await listed(desk) == [("", True)]


async def test_scripts_that_include_each_other_come_to_an_end(desk: Desk) -> None:
    """Servers refuse to run them; a listing ends all the same."""
    await desk.write("a", b"keep;", active=False)
    await desk.write("b", b'require "include"; include "a";' + OUTSIDE)
    await desk.write("a", b'require "include"; include :optional "b"; include "a";', active=False)
    assert await listed(desk) == [("ann@mail.test", True)]


async def test_files_are_told_of_with_their_place(tree: HomeTree) -> None:
    """`.forward` beside the active script."""
    found = await forwardings(HomeForwards(tree.pattern), ANN, OURS)
    assert {(one.place, one.address) for one in found if one.external} == {
        (".forward", "ann@mail.test"),
        ("sieve/mine.sieve", "ann@mail.test"),
    }
    assert {one.mailbox for one in found} == {f"mailboxes/{ANN}"}


async def test_a_mailbox_that_nobody_has_is_unknown(lab: MailLab) -> None:
    """A server may let any name in: only those that there are are asked for. Control: it lets this one in."""
    lab.wipe()
    nobody = "nobody@example.org"
    with pytest.raises(RefusedError, match="MAILBOX_UNKNOWN"):
        await server(lab).read(nobody)
    with lab.executor(nobody) as client:
        assert client.folder_exists("INBOX")
