"""The worker processes that scan: kept busy, held to a share of the processor, replaced when a file ends one."""

import asyncio
import contextlib
import itertools
import json
import os
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path
from typing import Self

import structlog

from quell_agent.commands import PIPE, Child, Process, spawn
from quell_agent.scan import MEMORY_BYTES, WORKER, Said, Seen

log = structlog.get_logger()
BATCH = 64
IN_FLIGHT = 2
"""Batches that a worker has at a time."""


class Workers:
    """Processes that read files in turn, together at a share of the processor: `percent`, 100 for each core.

    Entered, they start, and load the rules while their caller has other things to do. Left, by cancel too, none is.
    """

    def __init__(self, rules: Path, percent: int, clamd: str = "") -> None:
        """Start none yet. `clamd` is its socket, if it is to be asked as well."""
        count = max(1, min(-(-percent // 100), os.cpu_count() or 1))
        command = ("scan", str(rules), str(max(1, min(100, percent // count))), clamd)
        self._workers = [_Worker(command) for _ in range(count)]

    async def __aenter__(self) -> Self:
        """Start them."""
        try:
            for worker in self._workers:
                await worker.start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_error: object) -> None:
        """End them."""
        for worker in self._workers:
            await worker.end()

    async def seen(self, paths: Iterator[str]) -> AsyncGenerator[Seen, None]:
        """Yield what is seen of each file, in no order."""
        answers: asyncio.Queue[Seen | None] = asyncio.Queue()
        taking = asyncio.Lock()
        tasks = [asyncio.create_task(_work(worker, paths, taking, answers)) for worker in self._workers]
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


class _Worker:
    """One process; a file that ends it is passed over by the next."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: Process | None = None
        self._given: deque[Sequence[str]] = deque()

    @property
    def given(self) -> int:
        """How many batches it has that are not answered."""
        return len(self._given)

    async def start(self) -> Process:
        """Have a process."""
        if self._process is None:
            child = Child(memory_bytes=MEMORY_BYTES)
            self._process = await spawn(WORKER, *self._command, child=child, stdin=PIPE, stdout=PIPE)
        return self._process

    async def give(self, batch: Sequence[str]) -> None:
        """Have files read after those that it has already."""
        self._given.append(batch)
        process = await self.start()
        assert process.stdin is not None  # noqa: S101 - it is a pipe
        # If it has died, whoever waits for the answer is told.
        with contextlib.suppress(ConnectionError):
            process.stdin.write(json.dumps(batch).encode() + b"\n")
            await process.stdin.drain()

    async def answer(self) -> list[Seen]:
        """Return what is seen of the oldest batch. If the process dies of it, its files are asked for one by one."""
        said = await self._said()
        batch = self._given.popleft()
        if said is not None:
            return [Seen.told(path, fields) for path, fields in zip(batch, said, strict=True)]
        log.warning("scan_worker_died", files=len(batch))
        later, self._given = self._given, deque()
        answers = [await self._alone(path) for path in batch]
        for each in later:
            await self.give(each)
        return answers

    async def _alone(self, path: str) -> Seen:
        """Ask for one file; if the process dies of it, it counts as not read."""
        await self.give([path])
        said = await self._said()
        self._given.clear()
        return Seen.told(path, said[0]) if said else Seen(path, read=False)

    async def _said(self) -> list[Said] | None:
        """Return its next answer; None, and it is ended, if it has died."""
        process = await self.start()
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        line = b""
        with contextlib.suppress(ConnectionError):
            line = await process.stdout.readline()
        # It may have died in the middle of a line.
        if not line.endswith(b"\n"):
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


async def _work(
    worker: _Worker, paths: Iterator[str], taking: asyncio.Lock, answers: "asyncio.Queue[Seen | None]"
) -> None:
    """Keep a worker busy: while it reads a batch, the next one is with it already."""
    try:
        while True:
            while worker.given < IN_FLIGHT and (batch := await _next(paths, taking)):
                await worker.give(batch)
            if not worker.given:
                return
            for answer in await worker.answer():
                answers.put_nowait(answer)
    finally:
        # Whoever waits must hear of the end, also if this is an error.
        answers.put_nowait(None)


async def _next(paths: Iterator[str], taking: asyncio.Lock) -> list[str]:
    async with taking:
        return await asyncio.to_thread(lambda: list(itertools.islice(paths, BATCH)))
