"""ArtifactService: investigation packages and samples, for people."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from quell.device.v1 import artifact_service_pb2, artifact_service_pb2_grpc, stored_artifact_pb2
from quell.remediation.v1 import result_pb2

from quell_device.application.artifacts import Artifacts
from quell_device.domain.artifacts import BRINGING, ArtifactRecord
from quell_device.store.tables import ARTIFACTS
from quell_runtime.identity import caller
from quell_runtime.listing import filters
from quell_runtime.listing.fields import COMPARISON, Field, choice, count, text, time
from quell_runtime.listing.paging import Listing, order_of, size_of
from quell_runtime.people import person
from quell_runtime.seams import stamp

PAGE = 50
WHOLE: Field[ArtifactRecord] = Field("whole", int, lambda record: int(record.whole))
NAME: Field[ArtifactRecord] = Field(
    "id", lambda word: word.removeprefix("artifacts/"), lambda record: record.id, COMPARISON, ordered_by=True
)
FIELDS: Mapping[str, Field[ArtifactRecord]] = {
    "name": NAME,
    "device": Field("device", lambda word: word.removeprefix("devices/"), lambda record: record.device),
    "action": text("action"),
    "kind": choice("kind", sorted(BRINGING)),
    "size_bytes": count("size_bytes"),
    "sha256": text("sha256"),
    "create_time": time("change_time", ordered_by=True),
    "delete_time": time("delete_time", ordered_by=True),
}
"""What artifacts can be filtered and ordered by."""


class ArtifactServicer(artifact_service_pb2_grpc.ArtifactServiceServicer):
    """Gives out, and says what there is."""

    def __init__(self, artifacts: Artifacts) -> None:
        """Take the use cases."""
        self._artifacts = artifacts

    async def ListArtifacts(  # noqa: N802, D102 - the contract's
        self, request: artifact_service_pb2.ListArtifactsRequest, _context: object
    ) -> artifact_service_pb2.ListArtifactsResponse:
        wanted = filters.parse(request.filter, FIELDS).narrowed(WHOLE, 1)
        listing = Listing(ARTIFACTS, wanted, order_of(request.order_by, FIELDS, "create_time desc", NAME))
        found, token = await listing.page(self._artifacts.store, size_of(request.page_size, PAGE), request.page_token)
        total = await listing.total(self._artifacts.store)
        return artifact_service_pb2.ListArtifactsResponse(
            artifacts=map(_shown, found), next_page_token=token, total_size=total
        )

    async def GetArtifact(  # noqa: N802, D102
        self, request: artifact_service_pb2.GetArtifactRequest, _context: object
    ) -> artifact_service_pb2.GetArtifactResponse:
        found = await self._artifacts.get(request.name.removeprefix("artifacts/"))
        return artifact_service_pb2.GetArtifactResponse(artifact=_shown(found))

    async def DownloadArtifact(  # noqa: N802, D102
        self, request: artifact_service_pb2.DownloadArtifactRequest, _context: object
    ) -> AsyncGenerator[artifact_service_pb2.DownloadArtifactResponse, None]:
        who, name = person(), request.name.removeprefix("artifacts/")
        actor = who.name if who else str(caller())
        async with aclosing(self._artifacts.download(name, request.offset, actor, request.comment)) as pieces:
            async for piece in pieces:
                yield artifact_service_pb2.DownloadArtifactResponse(data=piece)


def _shown(record: ArtifactRecord) -> stored_artifact_pb2.StoredArtifact:
    return stored_artifact_pb2.StoredArtifact(
        artifact=result_pb2.Artifact(
            name=record.name,
            size_bytes=record.size_bytes,
            sha256=record.sha256,
            delete_time=stamp(record.delete_time),
        ),
        device=f"devices/{record.device}",
        action=record.action,
        kind=record.kind,
        create_time=stamp(record.change_time),
    )
