"""Packages and samples that were brought in."""

from pathlib import Path

import click
from quell.device.v1 import artifact_service_pb2, stored_artifact_pb2

from quell_cli import lookup, show
from quell_cli.connection import Connection
from quell_cli.download import download, stub_of
from quell_cli.pages import pages
from quell_cli.session import Session, say


@click.group()
def artifacts() -> None:
    """See packages and samples, take one out. An ARTIFACT is an id or its first digits."""


@artifacts.command("list")
@click.option("--filter", "condition", default="", help='As "kind = request_sample AND device = DEVICE".')
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="At most this many.")
@click.pass_obj
def list_artifacts(session: Session, condition: str, limit: int) -> None:
    """List artifacts, newest first."""

    async def work(connection: Connection) -> list[stored_artifact_pb2.StoredArtifact]:
        request = artifact_service_pb2.ListArtifactsRequest(filter=condition)
        return await pages(stub_of(connection).ListArtifacts, request, "artifacts", limit)

    found = session.call(work)
    rows = [
        (
            each.artifact.name.removeprefix("artifacts/"),
            each.kind,
            each.device.removeprefix("devices/"),
            show.short(each.action),
            f"{each.artifact.size_bytes:,}",
            show.time(each.create_time, utc=session.utc),
            show.time(each.artifact.delete_time, utc=session.utc),
        )
        for each in found
    ]
    columns = ("artifact", "kind", "device", "action", "bytes", "since", "until")
    session.show(found, lambda: session.table(columns, rows))


@artifacts.command()
@click.argument("artifact")
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), help="A new file.")
@click.option("--reason", "--comment", "-m", "reason", required=True, help="Why; it stands in the audit log.")
@click.pass_obj
def get(session: Session, artifact: str, target: Path, reason: str) -> None:
    """Take an artifact out. What was broken off goes on; its digest is checked before the file has its name."""

    async def work(connection: Connection) -> stored_artifact_pb2.StoredArtifact:
        found = await lookup.artifact(connection, artifact)
        await download(connection, found.artifact, target, reason)
        return found

    found = session.call(work)
    session.show(
        [found], lambda: say(f"{target}: {found.artifact.size_bytes:,} bytes, SHA-256 {found.artifact.sha256}")
    )
