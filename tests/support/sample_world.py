"""What the tests of samples stand on: a machine to quarantine on, the reader, and a shelf where archives end up."""

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest
import pyzipper
from quell.remediation.v1 import device_pb2, result_pb2, target_pb2

from quarantine_world import IDENTITY, RECOVERY, Said, World, digests
from quell_agent import files
from quell_agent.effects.request_sample import RequestSample
from quell_agent.sample import Samples
from quell_agent.vault import Vaults
from quell_agent.vault_file import VaultKeys
from quell_executor.contract import ACTION
from quell_executor.effect import Reading, RefusedError


@dataclass
class Shelf:
    """Where archives are brought: each is kept whole, as the gateway would. It can be slow, and lose what it has."""

    folder: Path
    asked: list[str] = field(default_factory=list)
    slow: bool = False

    async def bring(self, action: str, path: Path, delete_time: datetime | None = None) -> result_pb2.Artifact:
        """Keep a file."""
        del delete_time
        if self.slow:
            await asyncio.Event().wait()
        self.asked.append(action)
        found = result_pb2.Artifact(name=f"artifacts/{len(self.asked)}", sha256=digests(path).sha256)
        shutil.copy(path, self.of(found))
        return found

    async def stored(
        self, action: str, artifact: result_pb2.Artifact, delete_time: datetime | None = None
    ) -> result_pb2.Artifact | None:
        """Say whether one is kept."""
        del action, delete_time
        return artifact if self.of(artifact).exists() else None

    def of(self, artifact: result_pb2.Artifact) -> Path:
        """Return where it is kept."""
        return self.folder / artifact.name.removeprefix("artifacts/")


@dataclass
class Scene:
    """The machine of the quarantine, and the shelf."""

    world: World
    shelf: Shelf
    said: Said = field(default_factory=Said)
    seconds: float = files.READ_SECONDS

    async def ask(
        self, path: Path | str = "", sha256: str = "", sha1: str = "", *, action: str = ACTION, most: int = 0
    ) -> Reading:
        """Ask for a sample as an agent that was just started does."""
        vaults = Vaults(self.world.data, VaultKeys(IDENTITY, RECOVERY.public_key().public_bytes_raw))
        samples = Samples(vaults, self.world.processes, seconds=self.seconds)
        selector = target_pb2.FileSelector(path=str(path), sha256=sha256, sha1=sha1)
        order = device_pb2.RequestSample(device="devices/x", file=selector, max_size_bytes=most)
        return await RequestSample(self.world.data / "sample", samples, self.shelf).read(action, order, self.said)

    def opened(self, reading: Reading, password: bytes = b"infected") -> tuple[bytes, dict[str, object]]:
        """Open the archive of a reading."""
        assert reading.artifact is not None
        with pyzipper.AESZipFile(self.shelf.of(reading.artifact)) as archive:
            archive.setpassword(password)
            return archive.read("sample"), json.loads(archive.read("manifest.json"))

    @property
    def left(self) -> list[str]:
        """What lies in the agent's folder for samples."""
        return sorted(path.name for path in (self.world.data / "sample").iterdir())


class Meddling(Said):
    """Progress that does something whenever a part of a sample is packed."""

    def __init__(self, meddle: Callable[[], object]) -> None:
        """Take what to do."""
        super().__init__()
        self.meddle = meddle

    def report(self, message: str, *, percent: int | None = None) -> None:
        """Do it."""
        super().report(message, percent=percent)
        if message == "packing":
            self.meddle()


def scene_in(folder: Path) -> Scene:
    """Return a machine without anything on it."""
    folders = [folder / name for name in ("data", "box", "shelf")]
    for each in folders:
        each.mkdir(mode=0o700)
    return Scene(World(folders[0], folders[1]), Shelf(folders[2]))


@contextmanager
def refused(reason: str) -> Iterator[None]:
    """Expect a refusal for this reason."""
    with pytest.raises(RefusedError) as refusal:
        yield
    assert refusal.value.failure.reason == reason
