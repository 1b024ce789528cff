"""What is refused of artifacts, with exact code and reason; it is all that the contract says."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import pytest
from google.protobuf.message import Message
from quell.device.v1 import artifact_service_pb2
from quell.remediation.v1 import device_pb2, remediation_pb2

from artifact_house import (
    CONTENT,
    MIB,
    NOBODY,
    Scene,
    Upload,
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
from device_house import Agent, action_name, refused
from eventually import eventually
from promised_errors import promised
from quell_device.settings import ArtifactStore
from quell_device.store.tables import ARTIFACTS, DEVICES
from quell_runtime.client import Problem

Code = grpc.StatusCode
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
