"""A sample is the very file, quarantined or running or lying there, in an archive that opens by the password alone."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from quell.remediation.v1 import item_pb2

from quarantine_world import digests
from quell_executor.contract import ACTION
from quell_executor.effect import Reading
from sample_world import Scene, refused, scene_in

DONE, MISSING = item_pb2.ITEM_STATE_DONE, item_pb2.ITEM_STATE_MISSING


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """Return a machine without anything on it."""
    scene = scene_in(tmp_path)
    try:
        yield scene
    finally:
        for process in scene.world.started:
            process.kill()
            process.communicate()


def only(reading: Reading) -> item_pb2.ItemOutcome:
    """Return the one item."""
    (item,) = reading.items
    return item


@pytest.mark.parametrize("by", ["path", "path and sha256", "path and sha1"])
async def test_a_file_is_brought_as_it_lies_there(scene: Scene, by: str) -> None:
    """Its bytes, and what is known of it; the file is as it was, and nothing is left behind."""
    path = scene.world.program("evil")
    os.setxattr(path, "user.origin", b"mail")
    before, content = path.stat(), digests(path)
    sha256, sha1 = (
        digest if name in by else "" for name, digest in (("sha256", content.sha256), ("sha1", content.sha1))
    )
    reading = await scene.ask(str(path), sha256, sha1)
    raw, manifest = scene.opened(reading)
    assert raw == path.read_bytes()
    item = only(reading)
    assert (item.state, item.item.file.path, item.item.file.sha256) == (DONE, str(path), content.sha256)
    assert item.item.file.size_bytes == manifest["size_bytes"] == before.st_size
    assert (manifest["path"], manifest["found"], manifest["sha256"]) == (str(path), "file", content.sha256)
    assert manifest["owner"] == {"uid": before.st_uid, "gid": before.st_gid}
    assert (manifest["mode"], manifest["action"]) == ("0755", f"actions/{ACTION}")
    assert manifest["attributes"] == {"user.origin": b"mail".hex()}
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert scene.shelf.asked == [ACTION]
    assert scene.left == ["brought.json"]


async def test_nobody_opens_it_by_accident(scene: Scene) -> None:
    """Neither content nor manifest is in the clear; without the password, or by another, it does not open."""
    path = scene.world.box / "evil"
    path.write_bytes(b"MALWARE" * 100_000)
    reading = await scene.ask(path=str(path))
    assert reading.artifact is not None
    packed = scene.shelf.of(reading.artifact).read_bytes()
    assert not [word for word in (b"MALWARE", os.fsencode(path), b"owner") if word in packed]
    for wrong in (b"", b"Infected"):
        with pytest.raises(RuntimeError):
            scene.opened(reading, wrong)


@pytest.mark.parametrize("by", ["path", "sha256"])
async def test_a_quarantined_file_is_brought_and_stays_quarantined(scene: Scene, by: str) -> None:
    """By the path that it had, or by its content; with the mode that it had."""
    path = scene.world.program("evil")
    raw, content = path.read_bytes(), digests(path)
    plan = await scene.world.plan(str(path))
    assert await scene.world.take(plan) == ["DONE"]
    reading = await (scene.ask(path) if by == "path" else scene.ask(sha256=content.sha256))
    assert scene.opened(reading)[0] == raw
    manifest = scene.opened(reading)[1]
    assert (manifest["found"], manifest["path"], manifest["mode"]) == ("quarantine", str(path), "0755")
    assert not path.exists()
    assert await scene.world.states(plan) == ["DONE"]


async def test_what_runs_deleted_is_brought_by_its_content(scene: Scene) -> None:
    """The file is gone, the process still has it."""
    path = scene.world.program("evil")
    raw, content = path.read_bytes(), digests(path)
    process = scene.world.run(path, "60")
    path.unlink()
    reading = await scene.ask(sha256=content.sha256)
    assert scene.opened(reading)[0] == raw
    assert scene.opened(reading)[1]["found"] == "process"
    assert process.poll() is None


async def test_the_same_content_is_brought_once(scene: Scene) -> None:
    """For another action, at another path, after a restart: the same is named, as long as it is stored."""
    first, second = scene.world.program("evil"), scene.world.box / "copy"
    second.write_bytes(first.read_bytes())
    brought = (await scene.ask(path=str(first))).artifact
    again = await scene.ask(action="other", path=str(second))
    assert again.artifact == brought
    assert only(again).item.file.path == str(second)
    assert scene.shelf.asked == [ACTION]
    assert brought is not None
    scene.shelf.of(brought).unlink()
    await scene.ask(action="third", path=str(second))
    assert scene.shelf.asked == [ACTION, "third"]


@pytest.mark.parametrize(("path", "sha256"), [("/nowhere/at/all", ""), ("", "0" * 64)])
async def test_what_is_nowhere_is_missing(scene: Scene, path: str, sha256: str) -> None:
    """The target is gone; nothing is brought."""
    reading = await scene.ask(path, sha256)
    assert (only(reading).state, reading.artifact, scene.shelf.asked) == (MISSING, None, [])


async def test_another_content_at_the_path_is_not_what_was_meant(scene: Scene) -> None:
    """The file that was meant is gone."""
    path = scene.world.program("evil")
    assert only(await scene.ask(path=str(path), sha256="0" * 64)).state == MISSING


async def test_a_file_that_is_too_large_is_refused_not_cut(scene: Scene) -> None:
    """One byte more is too many; exactly so many are brought. A quarantined one is no exception."""
    path = scene.world.box / "evil"
    path.write_bytes(os.urandom(5000))
    with refused("TOO_LARGE"):
        await scene.ask(path=str(path), most=4999)
    await scene.ask(path=str(path), most=5000)
    assert await scene.world.take(await scene.world.plan(str(path))) == ["DONE"]
    with refused("TOO_LARGE"):
        await scene.ask(path=str(path), most=4999)
    giant = scene.world.box / "giant"
    with giant.open("wb") as out:
        out.truncate(1 << 40)
    with refused("TOO_LARGE"):
        await scene.ask(path=str(giant))


async def test_no_link_is_followed_and_no_pipe_is_read(scene: Scene) -> None:
    """The last part of the path, or one before it."""
    box = scene.world.box
    secret = box / "real" / "secret"
    secret.parent.mkdir()
    secret.write_bytes(b"secret")
    (box / "link").symlink_to(secret)
    (box / "folder").symlink_to(secret.parent)
    os.mkfifo(box / "pipe")
    for path in (box / "link", box / "folder/secret", box / "pipe", box / "real"):
        with refused("NOT_A_FILE"):
            await scene.ask(path=str(path))
    assert scene.shelf.asked == []
    assert scene.opened(await scene.ask(path=str(secret)))[0] == b"secret"


async def test_a_damaged_vault_gives_no_sample(scene: Scene) -> None:
    """What does not open is not brought."""
    path = scene.world.box / "evil"
    path.write_bytes(os.urandom(3 << 20))
    assert await scene.world.take(await scene.world.plan(str(path))) == ["DONE"]
    (sealed,) = scene.world.data.rglob("*.sealed")
    with sealed.open("r+b") as file:
        file.seek(-5, os.SEEK_END)
        file.write(b"xx")
    with refused("VAULT_DAMAGED"):
        await scene.ask(path=str(path))
    assert scene.shelf.asked == []


async def test_it_can_be_stopped_at_any_time_and_leaves_nothing(scene: Scene) -> None:
    """While it is packed, while it is on its way."""
    path = scene.world.box / "evil"
    path.write_bytes(os.urandom(8 << 20))
    scene.shelf.slow = True
    for pause in (0, 0.02, 0.2, 1.0):
        asking = asyncio.create_task(scene.ask(path=str(path)))
        await asyncio.wait([asking], timeout=pause)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert [name for name in scene.left if name != "brought.json"] == []
    scene.shelf.slow = False
    assert scene.opened(await scene.ask(path=str(path)))[0] == path.read_bytes()
