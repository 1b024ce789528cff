"""What may start under a restriction, what may not, and how it is changed and taken back."""

import os
import re
import shlex
import socket
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from quell.remediation.v1 import item_pb2

from apart import mount_memory
from effect_runs import ACTION, DONE, PLANNED, do, undo
from eventually import eventually
from execution_world import SAID, Order, World, allowed, sha256
from quell_agent.execution import memfd
from quell_executor.effect import RefusedError

OTHER = "6f1c4f0e-0000-4000-8000-000000000002"


async def test_it_restricts_and_releases(world: World) -> None:
    """A stranger does not start, a packaged program does; afterwards both do, and nobody is asked any more."""
    assert world.bad_runs()
    run = await do(world.effect(), Order())
    assert len(_guards()) == 2
    assert (run.before, run.after) == ([PLANNED, PLANNED], [DONE, DONE])
    assert (world.bad_runs(), world.good_runs()) == (False, True)
    assert world.says(world.bad) == "Operation not permitted"
    back = await undo(world.effect(), run.plan)
    assert (back.before, back.after) == ([PLANNED, PLANNED], [DONE, DONE])
    assert world.bad_runs()
    assert await world.status() is None
    assert _guards() == []


async def test_an_equal_order_finds_it_done(world: World) -> None:
    """It is in force already; the guard goes on."""
    first = await do(world.effect(), Order())
    before = await world.status()
    assert before is not None
    second = await do(world.effect(), Order(), action=OTHER)
    assert second.before == [DONE, DONE]
    after = await world.status()
    assert after is not None
    assert (after.guardian, after.guard) == (before.guardian, before.guard)
    await undo(world.effect(), first.plan)


@pytest.mark.parametrize("how", ["content", "path", "both", "folder"])
async def test_what_an_order_allows_starts(world: World, how: str) -> None:
    """By content, by path, by both, or by its folder; and nothing else."""
    stranger = world.stranger("tools/stranger")
    content, other = stranger.read_bytes(), world.stranger("other")
    orders = {
        "content": Order(allowed=[allowed(content=sha256(stranger))]),
        "path": Order(allowed=[allowed(path=str(stranger))]),
        "both": Order(allowed=[allowed(path=str(stranger), content=sha256(stranger))]),
        "folder": Order(allowed_folders=[str(stranger.parent)]),
    }
    assert (await do(world.effect(), Order())).after == [DONE, DONE]
    assert not world.runs(stranger, SAID)
    assert (await do(world.effect(), orders[how], action=OTHER)).after == [DONE, DONE]
    assert (world.runs(stranger, SAID), world.runs(other, SAID)) == (True, False)
    copy = world.root / "copy"
    copy.write_bytes(content)
    copy.chmod(0o755)
    assert world.runs(copy, SAID) == (how == "content")


async def test_content_elsewhere_and_another_content_there_are_refused(world: World) -> None:
    """Where an order names both, both must be so."""
    stranger = world.stranger("stranger")
    await do(world.effect(), Order(allowed=[allowed(path=str(stranger), content=sha256(world.bad))]))
    assert (world.runs(stranger, SAID), world.bad_runs()) == (False, False)


async def test_a_change_takes_back_what_was_allowed(world: World) -> None:
    """What the kernel remembers of the older policy is forgotten; undo goes back to before the first."""
    first = await do(world.effect(), Order(allowed=[allowed(content=sha256(world.bad))]))
    assert all(world.bad_runs() for _ in range(3))
    second = await do(world.effect(), Order(), action=OTHER)
    assert (second.before, second.after) == ([PLANNED, DONE], [DONE, DONE])
    assert not world.bad_runs()
    assert (await undo(world.effect(), first.plan)).after == [DONE, DONE]
    assert world.bad_runs()
    assert memfd.read() == 0


async def test_what_others_could_change_is_no_rule(world: World) -> None:
    """A folder or path that is not root's alone is refused, and nothing is restricted."""
    shared = world.root / "shared"
    shared.mkdir(mode=0o777)
    shared.chmod(0o777)
    theirs = world.stranger("theirs")
    os.chown(theirs, 1000, 1000)
    inside = world.stranger("shared/inside")
    for order, reason in (
        (Order(allowed_folders=[str(shared)]), "FOLDER_NOT_SAFE"),
        (Order(allowed_folders=[str(world.root / "nothing")]), "FOLDER_NOT_SAFE"),
        (Order(allowed=[allowed(path=str(theirs))]), "PATH_NOT_SAFE"),
        (Order(allowed=[allowed(path=str(inside))]), "PATH_NOT_SAFE"),
    ):
        with pytest.raises(RefusedError, match=reason):
            await world.effect().plan(order, None)
    assert world.bad_runs()


async def test_in_an_allowed_folder_only_roots_files_start(world: World) -> None:
    """What another user owns there, or put into a folder of its own there, does not."""
    tool, theirs, inside = (world.stranger(f"tools/{name}") for name in ("tool", "theirs", "user/inside"))
    os.chown(theirs, 1000, 1000)
    os.chown(inside.parent, 1000, 1000)
    await do(world.effect(), Order(allowed_folders=[str(tool.parent)]))
    assert [world.runs(each, SAID) for each in (tool, theirs, inside)] == [True, False, False]


async def test_a_packaged_file_that_was_changed_is_a_stranger(world: World) -> None:
    """The kernel, which had allowed it by itself, asks again; control: unchanged it goes on."""
    await do(world.effect(), Order())
    assert all(world.good_runs() for _ in range(3))
    with world.good.open("ab") as out:
        out.write(b"changed")
    assert not world.good_runs()


async def test_the_kernel_remembers_only_what_is_roots(world: World) -> None:
    """A file of another user is looked at each time, so a change that the kernel is not told of is seen."""
    world.install("theirs", world.bad)
    os.chown(world.bad, 1000, 1000)
    await do(world.effect(), Order())
    assert world.bad_runs()
    # A write through a mapping: no time changes on this file system, and nobody is notified.
    line = "import mmap,sys; f=open(sys.argv[1],'r+b'); m=mmap.mmap(f.fileno(),0); m[-1:]=bytes([m[-1]^1])"
    world.says("/usr/bin/env", "python3", "-c", line, world.bad)
    assert not world.bad_runs()


async def test_a_package_that_comes_meanwhile_is_known(world: World) -> None:
    """The guard sees that the lists are others, and its successor has read them."""
    effect = world.effect()
    await do(effect, Order())
    assert not world.bad_runs()
    world.install("bad", world.bad)

    async def runs() -> bool:
        return world.bad_runs()

    assert await eventually(runs, bool)


@pytest.mark.parametrize("before", ["true", "mount -t tmpfs x @; sleep 2; umount @"], ids=["first", "in place of one"])
async def test_file_systems_that_are_mounted_meanwhile_are_watched(world: World, before: str) -> None:
    """In an own namespace of mounts within a second or so, one that got another's number too; control: released."""
    effect = world.effect()
    run = await do(effect, Order())
    place = world.root / "mounted"
    place.mkdir()
    line = f"{before}; mount -t tmpfs x @; cat > @/b; chmod 755 @/b; sleep 2; @/b '{SAID}'".replace("@", str(place))
    attempt = ("/bin/bash", "-c", f"unshare -m /bin/sh -c {shlex.quote(line)} < /bin/echo")
    assert not world.runs(*attempt)
    await undo(effect, run.plan)
    assert world.runs(*attempt)


async def test_fifos_and_folders_are_nobodys_business(world: World) -> None:
    """A pipe by name works under it: its writer waits for the reader, and is not told that there is one."""
    await do(world.effect(), Order())
    line = f"mkfifo {world.root}/pipe; (echo {SAID} > {world.root}/pipe) & cat {world.root}/pipe; wait"
    assert world.says("/bin/bash", "-c", line) == f"{SAID}\n"


async def test_the_agent_still_reads_strangers(world: World) -> None:
    """What is to be scanned, hashed and put away can be; others can't read a program that is not trusted."""
    effect = world.effect()
    await do(effect, Order())
    assert world.bad.read_bytes().startswith(b"\x7fELF")
    assert "Operation not permitted" in world.says("/bin/cat", world.bad)


async def test_the_way_in_is_never_refused(tmp_path: Path) -> None:
    """A program by which root comes in starts, whatever packages say of it, as long as it is root's alone."""
    place = tmp_path / "scratch"
    world = World(place, login=(f"{place}/sbin/log*",))
    login = world.stranger("sbin/login")
    theirs = world.stranger("sbin/logger")
    os.chown(theirs, 1000, 1000)
    await do(world.effect(), Order())
    assert (world.runs(login, SAID), world.runs(theirs, SAID), world.bad_runs()) == (True, False, False)


async def test_what_is_in_force_is_marked(world: World) -> None:
    """The marks alone say which action restricts, and how it was before; none without a restriction."""
    assert await world.effect().marks() == []
    order = Order(allowed=[allowed(content="ab" * 32)])
    first = await do(world.effect(), Order())
    await do(world.effect(), order, action=OTHER)
    marks = await world.effect().marks()
    assert {(mark.action, mark.item.key) for mark in marks} == {
        (OTHER, "device.execution"),
        (ACTION, "device.execution.memory"),
    }
    assert {mark.remediation.restrict_code_execution.SerializeToString() for mark in marks} == {
        order.SerializeToString(),
        Order().SerializeToString(),
    }
    lost = replace(first.plan, items=tuple(mark.item for mark in marks))
    assert (await undo(world.effect(), lost)).after == [DONE, DONE]
    assert world.bad_runs()
    assert await world.effect().marks() == []


async def test_a_look_tells_what_is_not_so(world: World) -> None:
    """A guardian with a policy and a watch too few, or a setting that others changed, is not taken for the order."""
    effect = world.effect()
    run = await do(effect, Order())
    memfd.write(1)
    found = await effect.probe(run.plan)
    assert [each.state for each in found] == [item_pb2.ITEM_STATE_DONE, item_pb2.ITEM_STATE_FAILED]
    world.install("everything", world.bad, world.good, world.true)
    world.true.write_bytes(world.true.read_bytes() + b"x")
    reasons = [each.failure.reason if each.failure else "" for each in await effect.probe(run.plan)]
    assert reasons == ["TRUSTED_REFUSED", "MEMORY_CHANGED"]


def _guards() -> list[Path]:
    return [
        path
        for path in Path("/proc").glob("[0-9]*/fdinfo/*")
        if path.exists() and "fanotify" in path.read_text(encoding="utf-8")
    ]


async def test_whatever_started_the_agent_must_be_able_to_again(world: World) -> None:
    """An agent that was started by a stranger refuses; control: every other test's agent does not."""
    code = (
        "import asyncio, sys; sys.path[:0] = sys.argv[1].split(':')\n"
        "from execution_world import House, Order, Policy, RestrictCodeExecution, Path\n"
        "house = House(Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]), Policy(packages=sys.argv[5]))\n"
        "try: print(len(asyncio.run(RestrictCodeExecution(house).plan(Order(), None)).items))\n"
        "except Exception as error: print(error.failure.reason)\n"
    )
    stranger = world.stranger("bash", like=Path("/bin/bash"))
    house = [":".join(sys.path), *map(str, (world.data, world.root, world.true, world.database))]
    said = [
        world.says(shell, "-c", '"$@"; true', "-", sys.executable, "-c", code, *house)
        for shell in ("/bin/bash", stranger)
    ]
    assert said == ["2\n", "STARTER_NOT_TRUSTED\n"]


async def test_what_was_refused_is_told_to_the_systems_log(world: World) -> None:
    """One line each, with the file and who asked; what is allowed is not told."""
    mount_memory(Path("/dev"))
    os.mknod("/dev/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind("/dev/log")
        log.settimeout(20)
        await do(world.effect(), Order())
        # The agent's own look was refused as well.
        assert b"stranger-" in log.recv(4096)
        assert world.good_runs()
        assert not world.bad_runs()
        assert re.fullmatch(rb"<84>quell-guard: refused '.*/scratch/bad' to process [0-9]+", log.recv(4096))
