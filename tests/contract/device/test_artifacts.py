"""Artifacts come in chunk by chunk through any break, lie under lock, and are given out to who says why."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from google.protobuf.message import Message
from quell.device.v1 import artifact_service_pb2
from quell.executor.v1 import executor_service_pb2
from quell.remediation.v1 import device_pb2, remediation_pb2

from artifact_house import CHUNK, MIB, WHY, Upload, artifacts, downloaded, handed, uploaded, uploading
from deployment import Deployment
from device_center import Center, center
from device_house import Agent, House, action_name, refused, running
from eventually import eventually
from promised_errors import promised
from quell_device.application.artifacts import UNFINISHED_LIFE
from quell_device.settings import ArtifactStore
from quell_device.store.tables import ARTIFACTS, DEVICES
from quell_runtime.client import Problem
from quell_runtime.seams import stamp

CONTENT = os.urandom(2 * MIB) + b"MALWARE" * 60_000
"""Two parts and some of a third."""
NOBODY = "artifacts/" + "0" * 32
Code = grpc.StatusCode


@dataclass
class Scene:
    """A device service, the Action Center before it, and an agent behind it."""

    house: House
    center: Center
    agent: Agent

    async def brought(self, content: bytes = CONTENT) -> str:
        """Bring content in for a new action."""
        return await uploaded(self.agent, await handed(self.center, self.agent), content)

    @property
    def files(self) -> list[Path]:
        """What lies in the store."""
        return sorted(path for path in (self.house.folder / "device/artifacts").rglob("*") if path.is_file())


@asynccontextmanager
async def played(deployment: Deployment, folder: Path, store: ArtifactStore | None = None) -> AsyncIterator[Scene]:
    """Set the scene over the data in a folder."""
    async with running(deployment, folder, store) as house:
        agent = await house.enrolled()
        async with center(house, start=1) as found, agent.connected():
            yield Scene(house, found, agent)


@pytest.fixture
async def scene(deployment: Deployment, tmp_path: Path) -> AsyncIterator[Scene]:
    """Set the scene."""
    async with played(deployment, tmp_path) as found:
        yield found


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


async def taking(house: House, name: str, offset: int = 0, who: str = "ann", comment: str = WHY) -> Problem:
    """Return why a download ends."""
    request = artifact_service_pb2.DownloadArtifactRequest(name=name, comment=comment, offset=offset)

    async def take() -> None:
        async with artifacts(house, who) as stub:
            async for _ in stub.DownloadArtifact(request):
                pass

    return await refused(take)


def changed(path: Path) -> None:
    """Flip a bit."""
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


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


Provoke = Callable[[Scene], Awaitable[Problem]]
REFUSALS: list[tuple[str, Code, str, Provoke]] = []
OF_EVERY_RPC = {"FIELD_INVALID", "NOT_PERMITTED"}


def refusal(rpc: str, code: Code, reason: str) -> Callable[[Provoke], Provoke]:
    """Put a line into the table of refusals."""

    def add(provoke: Provoke) -> Provoke:
        REFUSALS.append((rpc, code, reason, provoke))
        return provoke

    return add


async def sending(scene: Scene, talk: Callable[[Upload], Awaitable[object]], agent: Agent | None = None) -> Problem:
    """Return how an upload is refused."""

    async def send() -> None:
        async with uploading(agent or scene.agent) as upload:
            await talk(upload)

    return await refused(send)


@refusal("UploadArtifact", Code.NOT_FOUND, "ACTION_UNKNOWN")
async def never_handed(scene: Scene) -> Problem:
    """Bring in what nobody has asked for."""
    return await sending(scene, lambda upload: upload.header(action_name(), CONTENT))


@refusal("UploadArtifact", Code.NOT_FOUND, "ACTION_UNKNOWN")
async def of_another(scene: Scene) -> Problem:
    """Bring in what another device was asked for."""
    action = await handed(scene.center, scene.agent)
    other = await scene.house.enrolled()
    return await sending(scene, lambda upload: upload.header(action, CONTENT), other)


@refusal("UploadArtifact", Code.NOT_FOUND, "ACTION_UNKNOWN")
async def of_another_kind(scene: Scene) -> Problem:
    """Bring something in for a scan."""
    scan = remediation_pb2.Remediation(run_antivirus_scan=device_pb2.RunAntivirusScan(device=scene.agent.name))
    action = await handed(scene.center, scene.agent, scan)
    return await sending(scene, lambda upload: upload.header(action, CONTENT))


@refusal("UploadArtifact", Code.NOT_FOUND, "ARTIFACT_UNKNOWN")
async def asked_for(scene: Scene) -> Problem:
    """Only ask whether it is stored; nothing is begun, and no share used up."""
    action = await handed(scene.center, scene.agent)
    problem = await sending(scene, lambda upload: upload.header(action, CONTENT, stored_only=True))
    assert await scene.house.service.artifacts.store.select(ARTIFACTS) == []
    return problem


@refusal("UploadArtifact", Code.INVALID_ARGUMENT, "HEADER_MISSING")
async def without_header(scene: Scene) -> Problem:
    """Begin with a chunk."""

    async def talk(upload: Upload) -> None:
        await upload.chunk(0, b"x")
        await upload.answer()

    return await sending(scene, talk)


@refusal("UploadArtifact", Code.INVALID_ARGUMENT, "HEADER_MISSING")
async def second_header(scene: Scene) -> Problem:
    """Say twice what comes."""
    action = await handed(scene.center, scene.agent)

    async def talk(upload: Upload) -> None:
        await upload.header(action, CONTENT)
        await upload.header(action, CONTENT)

    return await sending(scene, talk)


@refusal("UploadArtifact", Code.INVALID_ARGUMENT, "OFFSET_INVALID")
async def gap(scene: Scene) -> Problem:
    """Leave something out."""
    action = await handed(scene.center, scene.agent)

    async def talk(upload: Upload) -> None:
        await upload.header(action, CONTENT)
        await upload.chunk(1, b"x")
        await upload.answer()

    return await sending(scene, talk)


@refusal("UploadArtifact", Code.INVALID_ARGUMENT, "OFFSET_INVALID")
async def too_much(scene: Scene) -> Problem:
    """Send more than was announced."""
    action = await handed(scene.center, scene.agent)

    async def talk(upload: Upload) -> None:
        await upload.header(action, b"12")
        await upload.chunk(0, b"123")
        await upload.answer()

    return await sending(scene, talk)


@refusal("UploadArtifact", Code.DATA_LOSS, "DIGEST_MISMATCH")
async def other_content(scene: Scene) -> Problem:
    """Send other content than was announced; begun anew, it is taken."""
    action = await handed(scene.center, scene.agent)

    async def talk(upload: Upload) -> None:
        await upload.header(action, CONTENT)
        await upload.send(CONTENT[:-1] + b"!")
        while True:
            await upload.answer()

    problem = await sending(scene, talk)
    assert scene.files == []
    assert await downloaded(scene.house, await uploaded(scene.agent, action, CONTENT)) == CONTENT
    return problem


@refusal("UploadArtifact", Code.RESOURCE_EXHAUSTED, "STORE_FULL")
async def share_used_up(scene: Scene) -> Problem:
    """Announce more than the device's share: it counts before a byte has come."""
    action = await handed(scene.center, scene.agent)
    return await sending(scene, lambda upload: upload.header(action, CONTENT, size_bytes=4097 * MIB))


@refusal("UploadArtifact", Code.ABORTED, "STREAM_REPLACED")
async def replaced(scene: Scene) -> Problem:
    """Bring something in by a newer stream of the device."""
    action = await handed(scene.center, scene.agent)

    async def talk(upload: Upload) -> None:
        await upload.header(action, CONTENT)
        async with uploading(scene.agent) as newer:
            await newer.header(action, CONTENT)
            await upload.send(CONTENT, 0, MIB)
            await upload.answer()

    return await sending(scene, talk)


@refusal("UploadArtifact", Code.UNAVAILABLE, "STREAM_IDLE")
async def idle(scene: Scene) -> Problem:
    """Say nothing more."""
    action = await handed(scene.center, scene.agent)

    async def talk(upload: Upload) -> None:
        await upload.header(action, CONTENT)
        await upload.answer()

    return await sending(scene, talk)


@refusal("UploadArtifact", Code.PERMISSION_DENIED, "DEVICE_BANNED")
async def banned_meanwhile(scene: Scene) -> Problem:
    """Ban the device; the next part is not taken."""
    action = await handed(scene.center, scene.agent)

    async def talk(upload: Upload) -> None:
        await upload.header(action, CONTENT)
        await scene.house.ban(scene.agent.name)
        await upload.send(CONTENT, 0, MIB)
        await upload.answer()

    return await sending(scene, talk)


@refusal("UploadArtifact", Code.PERMISSION_DENIED, "DEVICE_UNKNOWN")
async def stranger(scene: Scene) -> Problem:
    """Come with a certificate of ours as a device that is not known."""
    store = scene.house.service.artifacts.store
    await store.change(lambda view: view.drop(DEVICES, scene.agent.token.device))
    # It says nothing: what is written on a stream that is refused can hide why.
    return await sending(scene, lambda upload: upload.answer())


@refusal("DownloadArtifact", Code.NOT_FOUND, "ARTIFACT_UNKNOWN")
async def unknown(scene: Scene) -> Problem:
    """Ask for what is not there."""
    return await taking(scene.house, NOBODY)


@refusal("DownloadArtifact", Code.NOT_FOUND, "ARTIFACT_UNKNOWN")
async def half(scene: Scene) -> Problem:
    """Ask for what is not wholly here."""
    action = await handed(scene.center, scene.agent)
    async with uploading(scene.agent) as upload:
        await upload.header(action, b"x")
    (record,) = await scene.house.service.artifacts.store.select(ARTIFACTS)
    return await taking(scene.house, record.name)


@refusal("DownloadArtifact", Code.OUT_OF_RANGE, "OFFSET_INVALID")
async def past_the_end(scene: Scene) -> Problem:
    """Ask for what is behind its end."""
    return await taking(scene.house, await scene.brought(), len(CONTENT) + 1)


@refusal("DownloadArtifact", Code.UNAVAILABLE, "AUDIT_AWAY")
async def audit_away(scene: Scene) -> Problem:
    """Ask while the Action Center is not there."""
    name = await scene.brought()
    scene.center.call.cancel()

    async def gone() -> str:
        return (await taking(scene.house, name)).reason

    await eventually(gone, lambda reason: reason == "AUDIT_AWAY")
    return await taking(scene.house, name)


@refusal("DownloadArtifact", Code.DATA_LOSS, "ARTIFACT_DAMAGED")
async def damaged(scene: Scene) -> Problem:
    """Change a part in the store."""
    name = await scene.brought()
    changed(scene.files[0])
    return await taking(scene.house, name)


@refusal("DownloadArtifact", Code.PERMISSION_DENIED, "NOT_PERMITTED")
async def viewer(scene: Scene) -> Problem:
    """Take it as somebody who may only see."""
    return await taking(scene.house, await scene.brought(), who="carol")


@refusal("DownloadArtifact", Code.INVALID_ARGUMENT, "FIELD_INVALID")
async def without_reason(scene: Scene) -> Problem:
    """Say no reason."""
    return await taking(scene.house, await scene.brought(), comment="")


async def asking(scene: Scene, rpc: str, request: Message) -> Problem:
    """Return how a question is refused."""
    async with artifacts(scene.house) as stub:
        return await refused(lambda: getattr(stub, rpc)(request, timeout=10))


@refusal("GetArtifact", Code.NOT_FOUND, "ARTIFACT_UNKNOWN")
async def get_unknown(scene: Scene) -> Problem:
    """Ask for what is not there."""
    return await asking(scene, "GetArtifact", artifact_service_pb2.GetArtifactRequest(name=NOBODY))


@refusal("ListArtifacts", Code.INVALID_ARGUMENT, "FILTER_INVALID")
async def bad_filter(scene: Scene) -> Problem:
    """Ask by a field that is nobody's question."""
    return await asking(scene, "ListArtifacts", artifact_service_pb2.ListArtifactsRequest(filter="whole = 0"))


@refusal("ListArtifacts", Code.INVALID_ARGUMENT, "ORDER_INVALID")
async def bad_order(scene: Scene) -> Problem:
    """Ask for an order without an index."""
    return await asking(scene, "ListArtifacts", artifact_service_pb2.ListArtifactsRequest(order_by="sha256"))


@refusal("ListArtifacts", Code.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")
async def bad_token(scene: Scene) -> Problem:
    """Ask with a token that is none of ours."""
    return await asking(scene, "ListArtifacts", artifact_service_pb2.ListArtifactsRequest(page_token="x"))  # noqa: S106 - no secret


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: f"{case[0]}-{case[2]}-{case[3].__name__}")
async def test_what_is_refused_says_why(
    deployment: Deployment, tmp_path: Path, case: tuple[str, Code, str, Provoke]
) -> None:
    """Exact code and reason."""
    _, code, reason, provoke = case
    async with played(deployment, tmp_path, ArtifactStore(idle_s=3)) as scene:
        problem = await provoke(scene)
    assert (problem.code, problem.reason) == (code, reason)


def test_the_table_is_what_the_contract_says() -> None:
    """Each reason of the `Errors:` lines is provoked, and no other."""
    rpcs = {"UploadArtifact", "DownloadArtifact", "GetArtifact", "ListArtifacts"}
    table = {(rpc, code.name, reason) for rpc, code, reason, _ in REFUSALS if reason not in OF_EVERY_RPC}
    assert table == {each for each in promised("device/v1") if each[0] in rpcs}


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
