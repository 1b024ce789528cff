"""Artifacts come in chunk by chunk through any break, lie under lock, and are given out to who says why."""

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from quell.device.v1 import artifact_service_pb2
from quell.executor.v1 import executor_service_pb2

from artifact_house import (
    CHUNK,
    CONTENT,
    MIB,
    NOBODY,
    WHY,
    Scene,
    artifacts,
    changed,
    downloaded,
    handed,
    played,
    taking,
    uploaded,
    uploading,
)
from deployment import Deployment
from device_center import center
from device_house import action_name, refused, running
from eventually import eventually
from quell_device.application.artifacts import UNFINISHED_LIFE
from quell_device.settings import ArtifactStore
from quell_runtime.seams import stamp

Code = grpc.StatusCode


@pytest.mark.parametrize("url", ["", "memory:///", "file"])
@pytest.mark.parametrize("size", [0, 1, MIB, len(CONTENT)])
async def test_what_was_brought_in_is_given_out(deployment: Deployment, tmp_path: Path, url: str, size: int) -> None:
    """Byte for byte, from any offset on, whatever store it lies in."""
    place = f"file://{tmp_path}/elsewhere" if url == "file" else url
    (tmp_path / "elsewhere").mkdir()
    async with played(deployment, tmp_path, ArtifactStore(url=place)) as scene:
        name = await scene.brought(CONTENT[:size])
        assert await downloaded(scene.house, name) == CONTENT[:size]
        for offset in {0, size // 2, size}:
            assert await downloaded(scene.house, name, offset) == CONTENT[offset:size]
        assert bool(list((tmp_path / "elsewhere").iterdir())) == (url == "file" and size > 0)


async def test_what_lies_there_can_be_read_by_nobody(scene: Scene) -> None:
    """Neither files nor database hold any of it in the clear; the same twice lies there as two ciphertexts."""
    content = b"MALWARE" * 300_000
    await scene.brought(content)
    found = [path.read_bytes() for path in scene.files]
    assert len(found) == 3
    rest = [path.read_bytes() for path in scene.house.folder.rglob("device.db*")]
    assert not [each for each in (*found, *rest) if b"MALWARE" in each]
    assert len({each[12:44] for each in found}) == 3
    assert (scene.house.folder / "device/artifacts").stat().st_mode & 0o077 == 0


async def test_a_broken_upload_goes_on_where_it_was(scene: Scene) -> None:
    """Only whole parts are stored; the last bytes that came are sent again."""
    action = await handed(scene.center, scene.agent)
    async with uploading(scene.agent) as upload:
        assert (await upload.header(action, CONTENT)).stored_bytes == 0
        await upload.send(CONTENT, 0, MIB + 3 * CHUNK)
        await upload.stored(MIB)
    async with uploading(scene.agent) as upload:
        assert (await upload.header(action, CONTENT)).stored_bytes == MIB
        await upload.send(CONTENT, MIB, 2 * MIB)
        await upload.stored(2 * MIB)
        await upload.call.done_writing()
        assert await upload.call.read() is grpc.aio.EOF
    async with artifacts(scene.house) as stub:
        assert not (await stub.ListArtifacts(artifact_service_pb2.ListArtifactsRequest(), timeout=10)).artifacts
    assert await downloaded(scene.house, await uploaded(scene.agent, action, CONTENT)) == CONTENT


async def test_it_goes_on_after_a_new_start_of_the_service(deployment: Deployment, tmp_path: Path) -> None:
    """Neither what is stored nor who asked is forgotten; the digest is of all of it."""
    async with played(deployment, tmp_path) as scene:
        action, agent = await handed(scene.center, scene.agent), scene.agent
        async with uploading(agent) as upload:
            await upload.header(action, CONTENT)
            await upload.send(CONTENT, 0, MIB)
            await upload.stored(MIB)
    async with running(deployment, tmp_path) as house, center(house, start=2):
        agent.house = house
        async with uploading(agent) as upload:
            assert (await upload.header(action, CONTENT)).stored_bytes == MIB
        assert await downloaded(house, await uploaded(agent, action, CONTENT)) == CONTENT


async def test_the_same_content_is_sent_once(scene: Scene) -> None:
    """For another action of the same device it is named at once, and kept as long as that one needs."""
    name = await scene.brought()
    action = await handed(scene.center, scene.agent)
    later = datetime.now(UTC) + timedelta(days=90)
    async with uploading(scene.agent) as upload:
        answer = await upload.header(action, CONTENT, delete_time=stamp(later), stored_only=True)
        assert (answer.artifact, answer.delete_time) == (name, stamp(later))
        assert await upload.call.read() is grpc.aio.EOF


async def test_it_is_listed_with_all_that_is_known(scene: Scene) -> None:
    """Newest first; filtered, ordered, paged."""
    first, second = [await scene.brought(content) for content in (b"first", b"second")]
    async with artifacts(scene.house, "carol") as stub:

        async def listed(**fields: object) -> artifact_service_pb2.ListArtifactsResponse:
            request = artifact_service_pb2.ListArtifactsRequest(**fields)  # type: ignore[arg-type]
            found: artifact_service_pb2.ListArtifactsResponse = await stub.ListArtifacts(request, timeout=10)
            return found

        page = await listed(page_size=1)
        rest = await listed(page_size=1, page_token=page.next_page_token)
        assert [each.artifact.name for each in (*page.artifacts, *rest.artifacts)] == [second, first]
        assert (page.total_size, rest.next_page_token) == (2, "")
        for condition in (f"name = {first}", "size_bytes < 6", f"action = {rest.artifacts[0].action}"):
            assert [each.artifact.name for each in (await listed(filter=condition)).artifacts] == [first]
        assert len((await listed(filter=f"device = {scene.agent.name} AND kind = request_sample")).artifacts) == 2
        assert not (await listed(filter="kind = collect_investigation_package")).artifacts
        request = artifact_service_pb2.GetArtifactRequest(name=first)
        assert (await stub.GetArtifact(request, timeout=10)).artifact == rest.artifacts[0]
    shown = rest.artifacts[0]
    assert (shown.device, shown.kind, shown.artifact.size_bytes) == (scene.agent.name, "request_sample", 5)
    life = shown.artifact.delete_time.ToDatetime() - shown.create_time.ToDatetime()
    assert timedelta(days=29) < life <= timedelta(days=30)


async def test_the_audit_log_knows_before_the_first_byte(scene: Scene) -> None:
    """Who, what, why and from where; as long as that is not stored, nothing is given out."""
    name = await scene.brought()
    scene.center.stores = False
    taking = asyncio.create_task(downloaded(scene.house, name, 5))

    async def told() -> list[executor_service_pb2.Access]:
        return [access for response in scene.center.received for access in response.accesses.accesses]

    (access,) = await eventually(told, bool)
    assert (access.actor, access.resource, access.comment, access.offset) == ("ann", name, WHY, 5)
    assert not taking.done()
    await scene.center.down(stored=executor_service_pb2.Stored(ids=[access.id]))
    assert await taking == CONTENT[5:]


async def test_an_agent_writes_nothing_into_the_audit_log(scene: Scene) -> None:
    """What it says of accesses goes nowhere; what it says next goes up."""
    access = executor_service_pb2.Access(
        id=action_name().removeprefix("actions/"), actor="ann", resource=NOBODY, comment="x"
    )
    async with scene.agent.connected() as stream:
        await stream.up(executor_service_pb2.WorkResponse(accesses=executor_service_pb2.Accesses(accesses=[access])))
        action = action_name()
        await stream.up(scene.agent.receipt(action))

        async def arrived() -> bool:
            return action in scene.center.receipts.values()

        await eventually(arrived, bool)
    assert not [response for response in scene.center.received if response.HasField("accesses")]


async def test_what_is_due_is_thrown_away(scene: Scene) -> None:
    """Whole ones at their time, unfinished ones after a day; files, records and share of the quota."""
    house, agent = scene.house, scene.agent
    soon = stamp(datetime.now(UTC) + timedelta(days=2))
    kept = await scene.brought(b"kept")
    gone = await uploaded(agent, await handed(scene.center, agent), CONTENT, delete_time=soon)
    action = await handed(scene.center, agent)
    half = os.urandom(2 * MIB)
    async with uploading(agent) as upload:
        await upload.header(action, half)
        await upload.send(half, 0, MIB)
        await upload.stored(MIB)
    assert len(scene.files) == 1 + 3 + 1
    house.clock.ahead = UNFINISHED_LIFE + timedelta(minutes=1)
    await house.service.artifacts.sweep()
    assert len(scene.files) == 1 + 3
    house.clock.ahead = timedelta(days=2, minutes=1)
    await house.service.artifacts.sweep()
    assert len(scene.files) == 1
    house.clock.ahead = timedelta()
    assert (await taking(house, gone)).reason == "ARTIFACT_UNKNOWN"
    assert await downloaded(house, kept) == b"kept"


def cut(path: Path) -> None:
    """Take the end off."""
    path.write_bytes(path.read_bytes()[:-1])


def emptied(path: Path) -> None:
    """Leave nothing."""
    path.write_bytes(b"")


def exchanged(path: Path) -> None:
    """Put another part of the same artifact in its place."""
    path.write_bytes((path.parent / "00000000").read_bytes())


@pytest.mark.parametrize("tamper", [changed, cut, emptied, exchanged, Path.unlink])
async def test_what_was_tampered_with_is_not_given_out(scene: Scene, tamper: Callable[[Path], None]) -> None:
    """What comes before it is right; at that part it ends, and says why."""
    name = await scene.brought()
    assert await downloaded(scene.house, name) == CONTENT
    tamper(scene.files[1])
    problem = await taking(scene.house, name)
    assert (problem.code, problem.reason) == (Code.DATA_LOSS, "ARTIFACT_DAMAGED")
    assert await downloaded(scene.house, name, 2 * MIB) == CONTENT[2 * MIB :]


async def test_a_half_that_was_tampered_with_is_begun_anew(scene: Scene) -> None:
    """It is not what was announced: nothing of it is kept, and the next upload is whole."""
    action = await handed(scene.center, scene.agent)
    async with uploading(scene.agent) as upload:
        await upload.header(action, CONTENT)
        await upload.send(CONTENT, 0, MIB)
        await upload.stored(MIB)
    changed(scene.files[0])
    assert (await refused(lambda: uploaded(scene.agent, action, CONTENT))).reason == "DIGEST_MISMATCH"
    assert scene.files == []
    assert await downloaded(scene.house, await uploaded(scene.agent, action, CONTENT)) == CONTENT


async def test_the_quota_is_of_what_is_there(deployment: Deployment, tmp_path: Path) -> None:
    """A device's share and that of all; what is thrown away counts no more."""
    store = ArtifactStore(device_quota_mib=4, quota_mib=6)
    async with played(deployment, tmp_path, store) as scene:
        await scene.brought(os.urandom(3 * MIB))
        with pytest.raises(grpc.aio.AioRpcError):
            await scene.brought(os.urandom(2 * MIB))
        other = await scene.house.enrolled()
        async with other.connected():
            action = await handed(scene.center, other)
            assert (await refused(lambda: uploaded(other, action, os.urandom(4 * MIB)))).reason == "STORE_FULL"
            await uploaded(other, action, os.urandom(3 * MIB))
            scene.house.clock.ahead = timedelta(days=31)
            await scene.house.service.artifacts.sweep()
            scene.house.clock.ahead = timedelta()
            await uploaded(other, action, os.urandom(4 * MIB))


def test_settings_name_a_store_that_can_be_used() -> None:
    """A URL of no store that we know is refused, and named, before anything starts."""
    with pytest.raises(ValueError, match="url"):
        ArtifactStore(url="gopher://x")
