"""Rules and the worker processes that scan by them. The agent itself never loads YARA."""

import asyncio
import contextlib
import hashlib
import importlib.metadata
import importlib.util
import itertools
import json
import os
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from quell_agent.commands import PIPE, Child, Process, spawn
from quell_executor.effect import RefusedError

log = structlog.get_logger()
WORKER = "quell_agent.scan_worker"
BATCH = 64
MEMORY_BYTES = 2 << 30
ENDED_AT_MOST = 20
"""So many rule files may each end the compiler; then something else is wrong."""
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
        """Keep the compiled ones in `cache`. No rule file may take more `seconds` of the processor to compile."""
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
                said, _ = await worker.communicate()
            finally:
                with contextlib.suppress(ProcessLookupError):
                    worker.kill()
                await worker.wait()
            lines = [json.loads(line) for line in said.splitlines()]
            if worker.returncode == 0:
                return {**ended, **lines[-1]}
            if not lines:
                break
            ended[lines[-1]] = "it takes too much to compile"
        raise RefusedError("RULES_INVALID", "the signatures can't be compiled")


class Workers:
    """Processes that read files in turn, together at a share of the processor: `percent`, 100 for each core."""

    def __init__(self, rules: Path, percent: int, clamd: str = "") -> None:
        """Start none before they are asked. `clamd` is its socket, if it is to be asked as well."""
        count = max(1, min(-(-percent // 100), os.cpu_count() or 1))
        self._command = ("scan", str(rules), str(max(1, min(100, percent // count))), clamd)
        self._count = count

    async def seen(self, paths: Iterator[str]) -> AsyncGenerator[Seen, None]:
        """Yield what is seen of each file, in no order. Ended early, by cancel too, no process is left."""
        answers: asyncio.Queue[Seen | None] = asyncio.Queue()
        taking = asyncio.Lock()
        tasks = [asyncio.create_task(self._work(paths, taking, answers)) for _ in range(self._count)]
        try:
            left = len(tasks)
            while left:
                answer = await answers.get()
                if answer is None:
                    left -= 1
                else:
                    yield answer
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, paths: Iterator[str], taking: asyncio.Lock, answers: "asyncio.Queue[Seen | None]") -> None:
        worker = _Worker(self._command)
        try:
            while batch := await self._next(paths, taking):
                for answer in await worker.ask(batch):
                    answers.put_nowait(answer)
        finally:
            await worker.end()
            # Whoever waits must hear of the end, also if this is an error.
            answers.put_nowait(None)

    async def _next(self, paths: Iterator[str], taking: asyncio.Lock) -> list[str]:
        async with taking:
            return await asyncio.to_thread(lambda: list(itertools.islice(paths, BATCH)))


class _Worker:
    """One process; a file that ends it is passed over by the next."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: Process | None = None

    async def ask(self, batch: Sequence[str]) -> list[Seen]:
        """Have files read. If the process dies of them, they are asked one by one; the culprit counts as not read."""
        said = await self._said(batch)
        if said is not None:
            return [Seen.told(path, fields) for path, fields in zip(batch, said, strict=True)]
        log.warning("scan_worker_died", files=len(batch))
        if len(batch) == 1:
            return [Seen(batch[0], read=False)]
        return [answer for path in batch for answer in await self.ask([path])]

    async def _said(self, batch: Sequence[str]) -> list[Said] | None:
        if self._process is None:
            self._process = await spawn(
                WORKER, *self._command, child=Child(memory_bytes=MEMORY_BYTES), stdin=PIPE, stdout=PIPE
            )
        process = self._process
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - both are pipes
        line = b""
        with contextlib.suppress(ConnectionError):
            process.stdin.write(json.dumps(batch).encode() + b"\n")
            await process.stdin.drain()
            line = await process.stdout.readline()
        if not line:
            await self.end()
            return None
        found: list[Said] = json.loads(line)
        return found

    async def end(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _version(folder: Path) -> str:
    """Return the digest over the rule files of a folder."""
    found = hashlib.sha256()
    for path in sorted(folder.glob("*.yar*")):
        content = path.read_bytes()
        found.update(f"{path.name}\0{len(content)}\0".encode("utf-8", "surrogateescape") + content)
    return found.hexdigest()
