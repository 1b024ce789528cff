"""A file system in memory with a small system on it, packaged by a package database of its own: what may start there.

Only in namespaces of the test's own (`apart`): whatever is watched is this file system.
"""

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from quell.remediation.v1 import device_pb2, target_pb2

from apart import Bystander, mount_memory
from quell_agent.effects.restrict_code_execution import House, RestrictCodeExecution
from quell_agent.execution.control import Control, Status
from quell_agent.execution.policy import Policy
from quell_runtime.seams import Point, nowhere

LIMIT = 45
SAID = "it ran"
Order = device_pb2.RestrictCodeExecution


def sha256(path: Path) -> str:
    """Return a file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def allowed(path: str = "", content: str = "") -> target_pb2.FileSelector:
    """Return a selector."""
    return target_pb2.FileSelector(path=path, sha256=content)


@dataclass
class World:
    """The system. `bad` is a program that no package brought, `good` is of a package; both say what they are told."""

    root: Path
    dead: str = "open"
    login: tuple[str, ...] = ()
    bystander: Bystander = field(default_factory=Bystander)

    def __post_init__(self) -> None:
        """Build it."""
        mount_memory(self.root)
        (self.database / "info").mkdir(parents=True)
        (self.database / "status").write_text("")
        self.good, self.true = self.root / "usr/bin/echo", self.root / "usr/bin/true"
        for path in (self.good, self.true):
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(f"/bin/{path.name}", path)
        self.install("coreutils", self.good, self.true)
        self.bad = self.stranger("bad")
        self.script("bad.sh", f"echo {SAID}")
        self.script("bad.py", f"print({SAID!r})", shebang="/usr/bin/env python3")
        self.library = self.stranger(
            "bad.so", like=Path(os.path.realpath("/lib64/ld-linux-x86-64.so.2")).parent / "libm.so.6"
        )

    @property
    def database(self) -> Path:
        """The package database."""
        return self.root / "dpkg"

    @property
    def data(self) -> Path:
        """The agent's folder."""
        return self.root / "data"

    def install(self, package: str, *paths: Path) -> None:
        """Have a package own files as they are."""
        lines = (f"{hashlib.md5(path.read_bytes()).hexdigest()}  {str(path)[1:]}\n" for path in paths)  # noqa: S324 - dpkg's
        (self.database / f"info/{package}.md5sums").write_text("".join(lines))

    def stranger(self, name: str, like: Path = Path("/bin/echo")) -> Path:
        """Make a program of a content that no other has."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(like.read_bytes() + secrets.token_bytes(16))
        path.chmod(0o755)
        return path

    def script(self, name: str, text: str, shebang: str = "/bin/bash") -> Path:
        """Make a script."""
        path = self.root / name
        path.write_text(f"#!{shebang}\n{text}\n")
        path.chmod(0o755)
        return path

    def effect(self, point: Point = nowhere) -> RestrictCodeExecution:
        """Return the effect as a process that was just started has it."""
        base = Policy(login=self.login, packages=str(self.database), dead=self.dead)
        house = House(self.data, str(self.root), self.true, base, point)
        return RestrictCodeExecution(house)

    def says(self, *command: str | Path) -> str:
        """Have a bystander run a command; return what it said, or why it did not."""
        return self.bystander.run(list(map(str, command)), LIMIT)

    def runs(self, *command: str | Path) -> bool:
        """Tell whether a command ran to where it says what it was told."""
        return SAID in self.says(*command)

    async def status(self) -> Status | None:
        """Ask the guardian, as another process of the agent would."""
        control = Control(self.data, str(self.root))
        with contextlib.closing(control):
            return await control.status()

    def bad_runs(self) -> bool:
        """Tell whether the stranger starts."""
        return self.runs(self.bad, SAID)

    def good_runs(self) -> bool:
        """Tell whether the packaged program starts."""
        return self.runs(self.good, SAID)


Attempt = Callable[[World], bool]
"""A way to run what is not trusted; tells whether it ran."""
