"""What the tests of the investigation package stand on: a machine of files alone, and the real worker on it."""

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from google.protobuf import duration_pb2
from quell.remediation.v1 import device_pb2, result_pb2

from quarantine_world import Said
from quell_agent.effects.collect_investigation_package import CollectInvestigationPackage
from quell_agent.package.archive import Archive
from quell_agent.package.collection import Collection
from quell_agent.package.gathering import Source
from quell_agent.package.machine import Machine
from quell_agent.package.sources import SOURCES
from quell_agent.package.walk import Walk
from quell_executor.contract import ACTION
from quell_executor.effect import Reading

ACCOUNTS = "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000:Ann:/home/ann:/bin/bash\n"


class Shelf:
    """Where what is brought ends up: in memory."""

    def __init__(self) -> None:
        """Nothing was brought yet."""
        self.brought: list[tuple[str, bytes]] = []

    async def bring(self, action: str, path: Path, delete_time: datetime | None = None) -> result_pb2.Artifact:
        """Take it, as a service would: by opening what it is told."""
        assert delete_time is None
        content = path.read_bytes()  # noqa: ASYNC240 - a file on the local disk
        self.brought.append((action, content))
        digest = hashlib.sha256(content).hexdigest()
        return result_pb2.Artifact(name="artifacts/one", size_bytes=len(content), sha256=digest)

    async def stored(
        self, _action: str, _artifact: result_pb2.Artifact, _delete_time: datetime | None = None
    ) -> result_pb2.Artifact | None:
        """Keep nothing for others."""
        return None


class Package:
    """A package, as an investigator opens it."""

    def __init__(self, content: bytes) -> None:
        """Open it."""
        self.size = len(content)
        self.zip = zipfile.ZipFile(io.BytesIO(content))
        self.manifest: dict[str, Any] = json.loads(self.zip.read("manifest.json"))
        self.items: list[dict[str, Any]] = self.manifest["items"]
        self.sources = {source["source"]: source for source in self.manifest["sources"]}

    def item(self, path: str) -> dict[str, Any] | None:
        """Return what is said of a path first, as the manifest writes it."""
        return next((item for item in self.items if item.get("path") == path), None)

    def status(self, path: str) -> str:
        """Return what became of a path; empty if nothing is said of it."""
        item = self.item(path)
        return item["status"] + (f" {item['reason']}" if "reason" in item else "") if item else ""

    def content(self, path: str) -> bytes:
        """Return the copy of a path."""
        item = self.item(path)
        assert item is not None, f"{path} is not told of"
        return self.zip.read(item["entry"])

    def rows(self, entry: str) -> list[dict[str, Any]]:
        """Return a document's rows."""
        rows: list[dict[str, Any]] = json.loads(self.zip.read(entry))
        return rows


class Scene:
    """A machine's files in a folder, the spool, and the shelf."""

    def __init__(self, folder: Path) -> None:
        """Begin with two users."""
        self.root, self.spool = folder / "root", folder / "data" / "package"
        self.shelf, self.said = Shelf(), Said()
        self.file("/etc/passwd", ACCOUNTS)
        for home in ("/root", "/home/ann"):
            self.place(home).mkdir(parents=True)

    def place(self, path: str) -> Path:
        """Return where a path of the machine lies."""
        return self.root / path.lstrip("/")

    def file(self, path: str, content: str | bytes) -> Path:
        """Make a file."""
        place = self.place(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)
        return place

    async def read(self, root: Path | None = None, *, most: int = 0, window: timedelta | None = None) -> Reading:
        """Have the package collected."""
        order = device_pb2.CollectInvestigationPackage(max_size_bytes=most)
        if window is not None:
            span = duration_pb2.Duration()
            span.FromTimedelta(window)
            order = device_pb2.CollectInvestigationPackage(max_size_bytes=most, log_window=span)
        reader = CollectInvestigationPackage(self.spool, self.shelf, root or self.root)
        return await reader.read(ACTION, order, self.said)

    async def package(self, root: Path | None = None, *, most: int = 0, window: timedelta | None = None) -> Package:
        """Have it collected, and open it."""
        await self.read(root, most=most, window=window)
        assert list(self.spool.iterdir()) == []
        return Package(self.shelf.brought[-1][1])


def taken(*names: str, machine: Machine | None = None, most: int = 1 << 30, sources: Sequence[Source] = ()) -> Package:
    """Return a package of some sources alone, of the machine that we run on if no other is given."""
    out = io.BytesIO()
    archive = Archive(out, most)
    collection = Collection(machine or Machine(Walk(), taken=archive.taken), archive)
    chosen = [*(source for source in SOURCES if source.name in names), *sources]
    archive.end({"sources": [collection.take(source) for source in chosen]})
    return Package(out.getvalue())
