"""Files in homes that their users own: links, odd files, owners and modes, and what is written meanwhile."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from effect_runs import CONFLICT, DONE, PLANNED, do, undo
from forwarding_desk import ANN, MINE, ORDER, OURS
from home_tree import HomeTree
from quell_email.domain.forwards import TURNED_OFF
from quell_email.effects.turn_off_external_forwarding import TurnOffExternalForwarding
from quell_email.maildir.forwards import HomeForwards
from quell_email.sieve.places import forwardings
from quell_email.store.pre_images import PreImages
from quell_executor.effect import Plan, RefusedError

FORWARD = b'redirect "ann@mail.test";\n'


def places(plan: Plan) -> dict[str, tuple[list[str], str]]:
    """Return the addresses outside and why it is turned off as a whole, by place."""
    items = (item.item.forwarding for item in plan.items)
    return {item.place: (list(item.addresses), item.whole) for item in items}


async def test_every_file_that_forwards_is_found_and_comes_back(
    tree: HomeTree, effect: TurnOffExternalForwarding
) -> None:
    """The active script first; bytes, mode and owner are as before after undo, and other mailboxes untouched."""
    if os.geteuid() == 0:
        os.chown(tree.home(ANN) / ".forward", 1000, 1001)
    before, bob = tree.photograph(ANN), tree.photograph("bob@example.org")
    run = await do(effect, ORDER)
    assert places(run.plan) == {
        "sieve/mine.sieve": (["ann@mail.test"], ""),
        ".forward": (["ann@mail.test"], ""),
        "sieve/old.sieve": (["ann@old.test"], ""),
    }
    after = tree.photograph(ANN)
    assert after[".forward"] == (b"\\ann\n# to be reached on holiday\nteam@example.org\n", *before[".forward"][1:])
    assert {name: facts[1:] for name, facts in after.items()} == {name: facts[1:] for name, facts in before.items()}
    assert after["sieve/lists.sieve"] == before["sieve/lists.sieve"]
    assert (await undo(effect, run.plan)).after == [DONE] * 3
    assert tree.photograph(ANN) == before
    assert tree.photograph("bob@example.org") == bob


async def test_a_script_in_the_place_of_the_link_is_one_of_its_own(
    tree: HomeTree, effect: TurnOffExternalForwarding
) -> None:
    """Without ManageSieve `.dovecot.sieve` is a file."""
    (tree.home(ANN) / ".dovecot.sieve").unlink()
    tree.write(ANN, ".dovecot.sieve", FORWARD)
    before = tree.photograph(ANN)
    run = await do(effect, ORDER)
    assert places(run.plan)[".dovecot.sieve"] == (["ann@mail.test"], "")
    await undo(effect, run.plan)
    assert tree.photograph(ANN) == before


@pytest.mark.parametrize("place", [".dovecot.sieve", ".forward", "sieve/mine.sieve"])
async def test_a_link_to_elsewhere_is_never_followed(
    tree: HomeTree, effect: TurnOffExternalForwarding, tmp_path: Path, place: str
) -> None:
    """Nothing of what it leads to is read or changed; the link gives way to a file, and is back after undo."""
    secret = tmp_path / "secret"
    secret.write_bytes(FORWARD + b"# root's own")
    link = tree.home(ANN) / place
    link.unlink()
    link.symlink_to(secret)
    before = tree.photograph(ANN)
    run = await do(effect, ORDER)
    assert run.after == [DONE] * len(run.plan.items)
    assert places(run.plan)[place] == ([], "it is a link to somewhere else")
    assert not any(b"own" in item.before for item in run.plan.items)
    assert tree.photograph(ANN)[place][0] == TURNED_OFF
    assert secret.read_bytes() == FORWARD + b"# root's own"
    assert set((await undo(effect, run.plan)).after) == {DONE}
    assert tree.photograph(ANN) == before


MINE_BY_NAME = {"plain": "sieve/mine.sieve", "odd": "./sieve//mine.sieve", "full": "{home}/sieve/mine.sieve"}
NO_SCRIPT = ["sieve", "sieve/none", "../bob@example.org/sieve/mine.sieve", "sieve/../x.sieve", "sieve/x/../mine.sieve"]


@pytest.mark.parametrize("how", MINE_BY_NAME)
async def test_the_link_of_the_active_script_is_understood(tree: HomeTree, how: str) -> None:
    """However it is written."""
    tree.activate(ANN, MINE_BY_NAME[how].format(home=tree.home(ANN)))
    found = await HomeForwards(tree.pattern).read(ANN)
    assert [script.place for script in found if script.active] == [".forward", "sieve/mine.sieve"]


@pytest.mark.parametrize("target", NO_SCRIPT)
async def test_a_link_that_leads_to_no_script_of_ours_is_a_place_of_its_own(tree: HomeTree, target: str) -> None:
    """Nobody can tell what it makes the server run."""
    tree.activate(ANN, target)
    found = await HomeForwards(tree.pattern).read(ANN)
    assert [(script.place, script.link) for script in found if script.link] == [(".dovecot.sieve", target)]


async def test_a_folder_of_scripts_that_is_a_link_is_refused(tree: HomeTree, effect: TurnOffExternalForwarding) -> None:
    """It is said, and nothing is changed."""
    shutil.move(tree.home(ANN) / "sieve", tree.base / "elsewhere")
    (tree.home(ANN) / "sieve").symlink_to(tree.base / "elsewhere")
    before = tree.photograph(ANN)
    with pytest.raises(RefusedError, match="SCRIPTS_ELSEWHERE"):
        await effect.plan(ORDER, None)
    assert tree.photograph(ANN) == before


def fifo(path: Path) -> None:
    """Put a pipe there."""
    os.mkfifo(path)


def folder(path: Path) -> None:
    """Put a folder there."""
    path.mkdir()


@pytest.mark.parametrize("make", [fifo, folder])
async def test_what_is_no_file_is_no_place(
    tree: HomeTree, effect: TurnOffExternalForwarding, make: Callable[[Path], None]
) -> None:
    """Nobody waits for a pipe that nobody writes to."""
    for place in (".forward", "sieve/x.sieve"):
        (tree.home(ANN) / place).unlink(missing_ok=True)
        make(tree.home(ANN) / place)
    assert set(places(await effect.plan(ORDER, None))) == {"sieve/mine.sieve", "sieve/old.sieve"}


@pytest.mark.parametrize("name", ["..", ".", "nobody@example.org", ".hidden"])
async def test_a_mailbox_that_is_not_here_is_refused(effect: TurnOffExternalForwarding, name: str) -> None:
    """Names that lead elsewhere are no mailboxes."""
    with pytest.raises(RefusedError, match="MAILBOX_UNKNOWN"):
        await effect.plan(type(ORDER)(mailbox=f"mailboxes/{name}"), None)


async def test_a_mailbox_is_found_whatever_its_case(effect: TurnOffExternalForwarding) -> None:
    """As addresses are."""
    assert len((await effect.plan(type(ORDER)(mailbox="mailboxes/Ann@Example.ORG"), None)).items) == 3


async def test_what_is_written_in_the_last_moment_stays(tree: HomeTree, tmp_path: Path) -> None:
    """Between looking and swapping: it is swapped back, and nothing of ours is left."""
    mine = tree.home(ANN) / "sieve/mine.sieve"

    def write(point: str) -> None:
        if point == "forwards.written":
            for path in (mine, tree.home(ANN) / "sieve/old.sieve", tree.home(ANN) / ".forward"):
                path.write_bytes(b"# written just now\n" + FORWARD)

    effect = TurnOffExternalForwarding(HomeForwards(tree.pattern, write), PreImages(tmp_path / "kept"), OURS)
    run = await do(effect, ORDER)
    assert run.before == [PLANNED] * 3
    assert run.after == [CONFLICT] * 3
    assert mine.read_bytes() == b"# written just now\n" + FORWARD
    assert {path.name for path in tree.home(ANN).iterdir()} == {".dovecot.sieve", ".forward", "sieve"}
    assert {path.name for path in mine.parent.iterdir()} == {"lists.sieve", "mine.sieve", "old.sieve"}


async def test_what_a_server_compiled_is_taken_away(tree: HomeTree, effect: TurnOffExternalForwarding) -> None:
    """By its time it may look newer than the script."""
    compiled = [tree.write(ANN, ".dovecot.svbin", b"?"), tree.write(ANN, "sieve/mine.svbin", b"?")]
    assert MINE in (tree.home(ANN) / "sieve/mine.sieve").read_bytes()
    await do(effect, ORDER)
    assert not any(path.exists() for path in compiled)


async def test_names_of_any_bytes_are_told_apart(tree: HomeTree, effect: TurnOffExternalForwarding) -> None:
    """A file whose name is no text stops nothing."""
    for name in (b"\xff.sieve", b"\\udcff.sieve", b"a\nb.sieve"):
        tree.write(ANN, f"sieve/{os.fsdecode(name)}", FORWARD)
    before = tree.photograph(ANN)
    run = await do(effect, ORDER)
    assert run.after == [DONE] * 6
    assert {r"sieve/\udcff.sieve", r"sieve/\\udcff.sieve", "sieve/a\nb.sieve"} < set(places(run.plan))
    assert await effect.marks()
    assert (await undo(effect, run.plan)).after == [DONE] * 6
    assert tree.photograph(ANN) == before
    assert len(await forwardings(HomeForwards(tree.pattern), ANN, OURS)) == 4


async def test_a_file_that_no_server_runs_is_left(tree: HomeTree, effect: TurnOffExternalForwarding) -> None:
    """It is larger than a script may be; it is never read."""
    tree.write(ANN, "sieve/large.sieve", FORWARD + b"#" * (1 << 20))
    assert set(places(await effect.plan(ORDER, None))) == {"sieve/mine.sieve", "sieve/old.sieve", ".forward"}


async def test_more_scripts_than_can_be_read_are_refused(tree: HomeTree, effect: TurnOffExternalForwarding) -> None:
    """By their number, and by their size."""
    for number in range(500):
        tree.write(ANN, f"sieve/{number}.sieve", b"keep;")
    with pytest.raises(RefusedError, match="TOO_MANY_SCRIPTS"):
        await effect.plan(ORDER, None)
    shutil.rmtree(tree.home(ANN) / "sieve")
    for number in range(33):
        tree.write(ANN, f"sieve/{number}.sieve", b"#" * (1 << 20))
    with pytest.raises(RefusedError, match="TOO_MANY_SCRIPTS"):
        await effect.plan(ORDER, None)
