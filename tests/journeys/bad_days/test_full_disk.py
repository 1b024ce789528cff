"""Promise: on a full disk new work is refused, reads and undo still work, nothing is lost, and space heals it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from quell.actioncenter.v1 import action_pb2, action_service_pb2

from bad_day_worlds import Url
from eventually import eventually
from house import free_ports
from mortal_house import Asking, Mortal, MortalHouse, mortal_house
from quell_cli import deployment
from quell_cli.deployment import Folder, Ports
from quell_runtime import client
from quell_runtime.store.opening import RESERVE

MIB = 1 << 20
ROOM = (RESERVE // MIB) * 3 // 2


def may_mount() -> bool:
    """Tell whether we may have a disk of our own."""
    tried = subprocess.run(
        ["unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/mnt"],  # noqa: S607
        capture_output=True,
        check=False,
    )
    return tried.returncode == 0


pytestmark = [
    pytest.mark.timeout(90),
    pytest.mark.skipif(not may_mount(), reason="a small disk can be mounted by root alone"),
]


@contextmanager
def house_with_small_disk(root: Path, name: str) -> Iterator[MortalHouse]:
    """Have centre and email service running, one of them on a small disk."""
    folder = Folder(root)
    deployment.make(folder, Ports(free_ports()))
    processes = [Mortal(each, folder, room=ROOM if each == name else 0) for each in ("email", "actioncenter")]
    with mortal_house(root, *processes) as house:
        yield house


@contextmanager
def filled(folder: Path, *, leave: int) -> Iterator[None]:
    """Have a disk full but for so many bytes."""
    filler = folder / "filler"
    with filler.open("wb") as out:
        try:
            while (free := os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize) > leave:
                out.write(bytes(min(MIB, free - leave)))
                out.flush()
        except OSError:
            pass
    try:
        yield
    finally:
        filler.unlink()


async def done(asking: Asking, bad: Url) -> action_pb2.Action:
    """Have a URL blocked and return what came of it."""
    action = await asking.created(bad.order())
    await asking.approved(await asking.vote(action))
    return await asking.ended(action.name)


async def refusal(asking: Asking, bad: Url) -> tuple[grpc.StatusCode, str]:
    """Return how asking for an action is refused."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await asking.created(bad.order())
    return refused.value.code(), client.problem(refused.value).reason


def url() -> Url:
    """Return a URL that nobody has blocked."""
    return Url(Path())


async def test_the_centre_refuses_new_work_and_goes_on_with_the_rest(tmp_path: Path) -> None:
    """Below the reserve: nothing new is stored, what there is can be read and undone; then all is as before."""
    with house_with_small_disk(tmp_path / "quell", "actioncenter") as house:
        async with house.asking() as asking:
            bad = url()
            action = await done(asking, bad)
            assert await asking.is_blocked(bad.pattern)
            refused = url()
            with filled(house.processes["actioncenter"].data, leave=RESERVE // 2):
                assert await refusal(asking, refused) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "STORE_FULL")
                assert (await asking.get(action.name)).state == action_pb2.ACTION_STATE_SUCCEEDED
                undo = await asking.undone(action.name, lambda: None)
                assert (await asking.ended(undo)).state == action_pb2.ACTION_STATE_SUCCEEDED
                assert not await asking.is_blocked(bad.pattern)
            known = await asking.insist(asking.ann.ListActions, action_service_pb2.ListActionsRequest())
            assert {each.name for each in known.actions} == {action.name, undo}
            assert (await done(asking, refused)).state == action_pb2.ACTION_STATE_SUCCEEDED
            assert await asking.chain_holds()


async def test_a_centre_without_any_room_loses_nothing(tmp_path: Path) -> None:
    """Not a byte is left: what is under way waits, and ends once there is space."""
    with house_with_small_disk(tmp_path / "quell", "actioncenter") as house:
        async with house.asking() as asking:
            bad = url()
            action = await asking.created(bad.order())
            vote = await asking.vote(action)
            with filled(house.processes["actioncenter"].data, leave=0):
                assert await refusal(asking, url()) == (
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    "STORE_FULL",
                )
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await asking.approved(vote)
                assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
                assert (await asking.get(action.name)).state == action_pb2.ACTION_STATE_PENDING_APPROVAL
            await asking.approved(vote)
            assert (await asking.ended(action.name)).state == action_pb2.ACTION_STATE_SUCCEEDED
            assert await asking.is_blocked(bad.pattern)
            assert await asking.chain_holds()


async def test_an_executor_refuses_new_work_and_undoes_still(tmp_path: Path) -> None:
    """What it can't journal it does not begin, and says so; what it did it can take back."""
    with house_with_small_disk(tmp_path / "quell", "email") as house:
        async with house.asking() as asking:
            bad, late = url(), url()
            action = await done(asking, bad)
            with filled(house.processes["email"].data, leave=RESERVE // 2):
                failed = await done(asking, late)
                assert failed.state == action_pb2.ACTION_STATE_FAILED
                assert (failed.failure.reason, failed.failure.retryable) == ("STORE_FULL", True)
                assert not await asking.is_blocked(late.pattern)
                undo = await asking.undone(action.name, lambda: None)
                assert (await asking.ended(undo)).state == action_pb2.ACTION_STATE_SUCCEEDED
                assert not await asking.is_blocked(bad.pattern)
            assert (await done(asking, late)).state == action_pb2.ACTION_STATE_SUCCEEDED
            assert await asking.is_blocked(late.pattern)


async def test_an_executor_without_any_room_answers_once_there_is_space(tmp_path: Path) -> None:
    """Not a byte is left: nothing is done that is not journaled, and nothing is forgotten."""
    with house_with_small_disk(tmp_path / "quell", "email") as house:
        async with house.asking() as asking:
            bad = url()
            action = await asking.created(bad.order())
            vote = await asking.vote(action)
            with filled(house.processes["email"].data, leave=0):
                await asking.approved(vote)
                sent = action_pb2.ACTION_STATE_DISPATCHED
                await eventually(lambda: asking.get(action.name), lambda seen: seen.state == sent)
                assert not await asking.is_blocked(bad.pattern)
            ended = await asking.ended(action.name)
            assert ended.failure.reason in ("", "STORE_FULL")
            if ended.failure.reason:
                assert not await asking.is_blocked(bad.pattern)
            else:
                assert await asking.is_blocked(bad.pattern)
