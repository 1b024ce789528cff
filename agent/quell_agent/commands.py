"""The one place of the agent that starts processes: fixed programs, a list of arguments, never a shell.

No word that came from outside becomes a program: `run` starts what the table below names, `spawn` modules of our own.
"""

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from quell_agent.files import LIBC

NFT = Path("/usr/sbin/nft")
SYSTEMCTL = Path("/usr/bin/systemctl")
IPTABLES_SAVE = Path("/usr/sbin/iptables-save")
IP6TABLES_SAVE = Path("/usr/sbin/ip6tables-save")
RPM = Path("/usr/bin/rpm")

PROGRAMS = frozenset({NFT, SYSTEMCTL, IPTABLES_SAVE, IP6TABLES_SAVE, RPM})
"""Every program that is not our own. One that an effect needs has its line above, and here."""

ENVIRONMENT: Mapping[str, str] = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
"""What a process is told: not the agent's own environment, where its token may stand."""
Process = asyncio.subprocess.Process
PIPE = asyncio.subprocess.PIPE
DEVNULL = asyncio.subprocess.DEVNULL
CANARY_SECONDS = 10
SET_DEATH_SIGNAL = 1
OUT_BYTES = 16 << 20
LINE_BYTES = 4 << 20


class ProgramLateError(Exception):
    """A program did not end in its time, or said more than it may, and was killed."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What a program that has ended said."""

    code: int
    out: bytes
    err: bytes


@dataclass(frozen=True, slots=True)
class Child:
    """How a process of our own is held: which descriptors it inherits, and how much memory it may have."""

    descriptors: Sequence[int] = field(default=())
    memory_bytes: int | None = None


async def run(program: Path, *arguments: str | Path, timeout: float, stdin: bytes | None = None) -> Finished:  # noqa: ASYNC109 - the program is killed, not only awaited no longer
    """Run a program of the table to its end, in a process group that does not outlive the call, cancelled or not.

    `timeout` is in seconds.

    Raises:
        ProgramLateError: It did not end in time, or wrote more than 16 MiB.
        FileNotFoundError: It is not installed.

    """
    if program not in PROGRAMS:
        raise ValueError(f"{program} is not a program that the agent may start")
    process = await asyncio.create_subprocess_exec(
        program,
        *arguments,
        stdin=DEVNULL if stdin is None else PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env=ENVIRONMENT,
        cwd="/",
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(timeout), asyncio.TaskGroup() as tasks:
            said = [tasks.create_task(_said(process, pipe)) for pipe in (process.stdout, process.stderr)]
            tasks.create_task(_told(process, stdin))
        out, err = (each.result() for each in said)
        if max(len(out), len(err)) > OUT_BYTES:
            raise ProgramLateError(f"{program.name} said more than it may")
        return Finished(await process.wait(), out, err)
    except TimeoutError:
        raise ProgramLateError(f"{program.name} did not end within {timeout:g} s") from None
    finally:
        # The whole group: what it has started must not hold the pipes, nor go on, when it is gone itself.
        _end(process)
        await process.wait()


async def spawn(
    module: str,
    *arguments: str | Path,
    child: Child | None = None,
    stdin: int | IO[bytes] = DEVNULL,
    stdout: int | IO[bytes] | None = None,
) -> Process:
    """Start a module of our own as a process that lives until it is ended. The caller ends it."""
    held = child or Child()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        # Isolated: neither the environment nor the folder that we stand in adds code.
        "-I",
        "-m",
        module,
        *arguments,
        stdin=stdin,
        stdout=stdout,
        limit=LINE_BYTES,
        env=ENVIRONMENT,
        cwd="/",
        pass_fds=held.descriptors,
        start_new_session=True,
    )
    if held.memory_bytes is not None:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(process.pid, resource.RLIMIT_DATA, (held.memory_bytes, held.memory_bytes))
    return process


async def starts(program: Path) -> bool:
    """Start a program that an effect made itself, or knows to end at once, to see if it may. Tell if it ended well.

    Raises:
        OSError: The kernel does not let it start: `PermissionError`, with EPERM if the kernel was told so.
        ProgramLateError: It did not end in time.

    """
    try:
        # In a thread: the kernel may ask somebody first.
        done = await asyncio.to_thread(
            subprocess.run,
            [program],
            check=False,
            capture_output=True,
            env=ENVIRONMENT,
            cwd="/",
            timeout=CANARY_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise ProgramLateError(f"{program.name} did not end within {CANARY_SECONDS} s") from None
    return done.returncode == 0


def forked(body: Callable[[], None]) -> int:
    """Do one thing in a copy of this process that ends with it, and return its process id. The caller reaps it.

    Only for a process of our own with a single thread. The copy is killed when the one that made it ends.
    """
    parent, child = os.getpid(), os.fork()
    if child:
        return child
    code = 1
    try:
        LIBC.prctl(SET_DEATH_SIGNAL, int(signal.SIGKILL))
        if os.getppid() == parent:
            body()
            code = 0
    finally:
        # Nothing that the parent has on its stack may go on here.
        os._exit(code)


async def _said(process: Process, pipe: asyncio.StreamReader | None) -> bytes:
    assert pipe is not None  # noqa: S101 - it was asked for
    out = bytearray()
    while piece := await pipe.read(1 << 16):
        out += piece
        if len(out) > OUT_BYTES:
            _end(process)
            break
    return bytes(out)


def _end(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


async def _told(process: Process, stdin: bytes | None) -> None:
    if process.stdin is None:
        return
    with contextlib.suppress(ConnectionError):
        process.stdin.write(stdin or b"")
        await process.stdin.drain()
    process.stdin.close()
