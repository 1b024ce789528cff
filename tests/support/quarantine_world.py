"""A machine to quarantine on: real files and real processes below the test's own folder."""

import hashlib
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from quell.remediation.v1 import device_pb2, item_pb2, target_pb2

from quell_agent.effects.stop_and_quarantine import Machine, StopAndQuarantine
from quell_agent.files import Content
from quell_agent.persistence.find import Persistence
from quell_agent.persistence.places import Places
from quell_agent.processes import Processes
from quell_agent.protected import Protected
from quell_agent.search import Search
from quell_agent.vault import Vaults
from quell_agent.vault_file import VaultKeys
from quell_executor.effect import Plan
from quell_runtime.seams import Point, nowhere

IDENTITY = b"i" * 32
RECOVERY = X25519PrivateKey.from_private_bytes(b"r" * 32)
ACTION = "actions/00000000-0000-4000-8000-000000000001"
STATE = item_pb2.ItemState


class Said:
    """Progress that is kept."""

    def __init__(self) -> None:
        """Nothing was said yet."""
        self.messages: list[str] = []

    def report(self, message: str, *, percent: int | None = None) -> None:
        """Keep it."""
        assert percent is None or 0 <= percent <= 100
        self.messages.append(message)


@dataclass
class World:
    """The machine, as a test drives it: the kit's way of plan, apply, probe."""

    data: Path
    box: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Know what is protected, and remember digests from one look to the next."""
        self.protected = Protected(self.data)
        self.processes = Processes(self.protected.runs_the_machine)

    @property
    def root(self) -> Path:
        """The root folder of the places that start programs: the machine's own stay out of it."""
        return self.box.parent / "root"

    def effect(self, point: Point = nowhere) -> StopAndQuarantine:
        """Return the effect as a process that was just started has it."""
        vaults = Vaults(self.data, VaultKeys(IDENTITY, RECOVERY.public_key().public_bytes_raw))
        search = Search(vaults, self.processes, self.protected)
        persistence = Persistence(vaults, Places(str(self.root)), self.protected)
        return StopAndQuarantine(Machine(vaults, self.processes, search, persistence, point))

    def program(self, name: str, *, like: Path | None = None) -> Path:
        """Make a program that only sleeps, of a content that no other file has, or that another one has."""
        path = self.box / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(like or "/bin/sleep", path)
        if like is None:
            with path.open("ab") as out:
                out.write(secrets.token_bytes(16))
        path.chmod(0o755)
        # Read later than changed: starting it changes no time any more.
        os.utime(path, ns=(time.time_ns() + 3600 * 10**9, path.stat().st_mtime_ns - 10**9))
        return path

    def run(self, *command: str | Path) -> subprocess.Popen[bytes]:
        """Start a process; it is ended after the test."""
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)  # noqa: S603 - ours
        self.started.append(process)
        return process

    async def plan(self, path: str = "", sha256: str = "", sha1: str = "", folders: Sequence[Path] = ()) -> Plan:
        """Plan as the kit does."""
        file = target_pb2.FileSelector(path=path, sha256=sha256, sha1=sha1)
        order = device_pb2.StopAndQuarantine(file=file, search_folders=map(str, folders))
        return replace(await self.effect().plan(order, None), action=ACTION)

    async def take(self, plan: Plan) -> list[str]:
        """Apply a plan and tell what is so then."""
        effect = self.effect()
        await effect.apply(plan, Said())
        return await self.states(plan)

    async def undo(self, plan: Plan) -> list[str]:
        """Take a plan back and tell what is so then."""
        return await self.take(await self.effect().plan_revert(plan))

    async def states(self, plan: Plan) -> list[str]:
        """Probe."""
        return [STATE.Name(found.state).removeprefix("ITEM_STATE_") for found in await self.effect().probe(plan)]

    async def reasons(self, plan: Plan) -> list[str]:
        """Probe, for the reasons."""
        return [found.failure.reason if found.failure else "" for found in await self.effect().probe(plan)]


def digests(path: Path) -> Content:
    """Return a file's digests."""
    return Content(hashlib.sha256(unread(path)).hexdigest(), hashlib.sha1(unread(path)).hexdigest())  # noqa: S324 - as feeds have it


def unread(path: Path) -> bytes:
    """Return a file's bytes without changing when it was read."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOATIME), "rb") as source:
        return source.read()


def change_attributes(path: Path, change: str) -> None:
    """Set or clear what forbids changes, where the tool and the file system have it."""
    if tool := shutil.which("chattr"):
        subprocess.run([tool, change, path], check=False, capture_output=True)  # noqa: S603 - ours


def facts(path: Path) -> dict[str, object]:
    """Return everything about a file that can come back, by other means than the agent's."""
    status = path.lstat()
    names = os.listxattr(path, follow_symlinks=False)
    flags = shutil.which("lsattr")
    listed = subprocess.run([flags, path], capture_output=True, check=False).stdout if flags else b""  # noqa: S603
    return {
        "bytes": unread(path),
        "owner": (status.st_uid, status.st_gid),
        "mode": status.st_mode,
        "times": (status.st_atime_ns, status.st_mtime_ns),
        "links": status.st_nlink,
        "attributes": {name: os.getxattr(path, name) for name in names},
        "flags": listed.split(b" ")[0],
        "folder": path.parent.stat().st_mtime_ns,
    }
