"""The rules that a scan goes by, and what is seen by them. The agent itself never loads YARA."""

import asyncio
import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from quell_agent.commands import PIPE, Child, Process, spawn
from quell_executor.effect import RefusedError

log = structlog.get_logger()
WORKER = "quell_agent.scan_worker"
MEMORY_BYTES = 2 << 30
ENDED_AT_MOST = 20
"""So many rule files may each end the compiler; then something else is wrong."""
WHOLE = ""
"""What the compiler says when it is at all of them together."""
LATE = 3
"""The compiler is ended when it is at one thing this many times as long as that may take of the processor."""
Said = tuple[bool, list[tuple[str, str, str]], str, int, int, bool, bool]


@dataclass(frozen=True, slots=True)
class Hit:
    """A signature that matches: of which engine, and in which member if the file is an archive."""

    rule: str
    member: str
    engine: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What a worker saw of a file; of one that no rule matches, no digest.

    `cut`: it is an archive of which not all was read. `asked`: clamd could tell, if it was to be asked.
    """

    path: str
    read: bool
    hits: Sequence[Hit] = ()
    sha256: str = ""
    size: int = 0
    owner: int = 0
    cut: bool = False
    asked: bool = True

    @classmethod
    def told(cls, path: str, fields: Said) -> "Seen":
        """Read what a worker says."""
        read, hits, sha256, size, owner, cut, asked = fields
        return cls(path, read, [Hit(*hit) for hit in hits], sha256, size, owner, cut, asked)


@dataclass(frozen=True, slots=True)
class Compiled:
    """Rules that are ready. `version` is the digest over their sources, `bad` the rule files that were left out."""

    path: Path
    version: str
    bad: dict[str, str]


def missing() -> str:
    """Return why no scan can be made here; empty: it can."""
    return "" if importlib.util.find_spec("yara_x") else "yara-x is not installed: pip install yara-x"


class Rules:
    """A folder of rules, compiled once for each state that it is in."""

    def __init__(self, folder: Path, cache: Path, seconds: int = 20) -> None:
        """Keep the compiled ones in `cache`.

        No rule file may take more `seconds` of the processor to compile, nor three times as many by the clock.
        """
        self._seconds = seconds
        self._folder = folder
        self._cache = cache

    async def compiled(self) -> Compiled:
        """Return the rules as they are now.

        Raises:
            RefusedError: None of the rule files can be used.

        """
        version = await asyncio.to_thread(_version, self._folder)
        # What another release of YARA compiled, this one can't load.
        target = self._cache / f"{version}-{importlib.metadata.version('yara-x')}.yarc"
        bad = target.with_suffix(".json")
        if not (target.exists() and bad.exists()):
            self._cache.mkdir(mode=0o700, exist_ok=True)
            for old in self._cache.iterdir():
                old.unlink()
            await asyncio.to_thread(bad.write_text, json.dumps(await self._compile(target)))
        found = Compiled(target, version, json.loads(bad.read_bytes()))
        for name, error in found.bad.items():
            log.warning("rule_file_left_out", file=name, error=error)
        if len(found.bad) == sum(1 for _ in self._folder.glob("*.yar*")):
            raise RefusedError("RULES_MISSING", "there are no signatures that could be used")
        return found

    async def _compile(self, target: Path) -> dict[str, str]:
        """Compile, anew without each file that ends the compiler; return why files were left out, by their name."""
        ended: dict[str, str] = {}
        for _ in range(ENDED_AT_MOST):
            arguments = ("compile", self._folder, target, json.dumps(list(ended)), str(self._seconds))
            worker = await spawn(WORKER, *arguments, child=Child(memory_bytes=MEMORY_BYTES), stdout=PIPE)
            try:
                said = await self._last_said(worker)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    worker.kill()
                await worker.wait()
            if isinstance(said, dict):
                return {**ended, **said}
            if said == WHOLE:
                break
            ended[said] = "it takes too much to compile"
        raise RefusedError("RULES_INVALID", "the signatures can't be compiled")

    async def _last_said(self, worker: Process) -> str | dict[str, str]:
        """Return the last that a compiler says before it ends, or before it is at one thing for too long.

        That is what is wrong with which files, or which file it is at.
        """
        assert worker.stdout is not None  # noqa: S101 - it is a pipe
        said: str | dict[str, str] = WHOLE
        with contextlib.suppress(TimeoutError):
            while True:
                seconds = LATE * self._seconds * (10 if said == WHOLE else 1)
                line = await asyncio.wait_for(worker.stdout.readline(), seconds)
                if not line.endswith(b"\n"):
                    break
                said = json.loads(line)
        return said


def _version(folder: Path) -> str:
    """Return the digest over the rule files of a folder. What is no file is not read: the compiler leaves it out."""
    found = hashlib.sha256()
    for path in sorted(folder.glob("*.yar*")):
        content = path.read_bytes() if path.is_file() else b""
        found.update(f"{path.name}\0{len(content)}\0".encode("utf-8", "surrogateescape") + content)
    return found.hexdigest()
