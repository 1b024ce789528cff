"""The agent starts fixed programs and its own modules, in one place, within bounds."""

import ast
import asyncio
import os
import resource
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

import quell_agent
from eventually import eventually
from quell_agent import commands
from quell_agent.commands import PIPE, Child, ProgramLateError, run, spawn

AGENT = Path(quell_agent.__file__).parent
MODULES = {"subprocess", "multiprocessing", "pty"}
STARTS = {"ProcessPoolExecutor", "create_subprocess_exec", "create_subprocess_shell", "subprocess_exec"}
OF_OS = ("fork", "vfork", "system", "popen", "posix_spawn", "startfile", "spawn", "exec")
"""How the names begin by which `os` starts a process."""
CAT = Path("/bin/cat")
SH = Path("/bin/sh")


def starters(source: str) -> Iterator[str]:
    """Yield every name in a module by which Python starts a process."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=found):
                yield from (each.name for each in found if each.name.partition(".")[0] in MODULES)
            case ast.ImportFrom(module=module, names=found):
                yield from (part for part in (module or "").split(".") if part in MODULES)
                yield from (each.name for each in found if each.name in MODULES | STARTS)
                yield from (each.name for each in found if module == "os" and each.name.startswith(OF_OS))
            case ast.Attribute(value=ast.Name(id="os"), attr=name) if name.startswith(OF_OS):
                yield name
            case ast.Attribute(attr=name) | ast.Name(id=name) if name in MODULES | STARTS:
                yield name


@pytest.mark.parametrize("path", sorted(AGENT.rglob("*.py")), ids=lambda path: str(path.relative_to(AGENT)))
def test_only_one_module_starts_processes(path: Path) -> None:
    """No other module of the agent even names what could start one; and the check sees the one that does.

    The guardian forks itself, and starts no program: it could not wait for the kernel's question about one.
    """
    found = set(starters(path.read_text(encoding="utf-8")))
    if path in (AGENT / "execution/guardian.py", AGENT / "execution/guards.py"):
        assert found == {"fork"}
    else:
        assert bool(found) == (path == AGENT / "commands.py"), found


@pytest.mark.parametrize(
    "line",
    [
        *("import subprocess", "import multiprocessing.pool", "from asyncio.subprocess import PIPE", "import pty as p"),
        *("os.execv('/bin/sh', [])", "from os import posix_spawn", "asyncio.create_subprocess_shell('ls')"),
        *("loop.subprocess_exec(protocol, 'ls')", "from asyncio import subprocess", "os.forkpty()"),
    ],
)
def test_the_check_sees_every_way(line: str) -> None:
    """Each way to start a process is seen."""
    assert list(starters(line))


@pytest.fixture(autouse=True)
def _programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a table of two that are everywhere."""
    monkeypatch.setattr(commands, "PROGRAMS", frozenset({CAT, SH}))


async def test_a_program_that_is_not_in_the_table_is_not_started() -> None:
    """Whatever asks for it."""
    with pytest.raises(ValueError, match="not a program"):
        await run(Path("/bin/true"), timeout=5)


async def test_it_is_told_and_answers() -> None:
    """Input goes in; code, output and errors come out, and nothing of the agent's environment went along."""
    done = await run(SH, "-c", "cat; echo no >&2; env; exit 3", timeout=20, stdin=b"hello\n")
    assert (done.code, done.err) == (3, b"no\n")
    assert set(done.out.decode().splitlines()) >= {"hello", "LC_ALL=C.UTF-8"}
    assert b"HOME=" not in done.out


async def test_late_ones_are_killed_with_what_they_started(tmp_path: Path) -> None:
    """A program that does not end, and the child that holds its output, are gone when the call returns."""
    told = tmp_path / "pid"
    with pytest.raises(ProgramLateError, match="within"):
        await run(SH, "-c", f"/bin/cat <>{fifo(tmp_path)} & echo $! > {told}; wait", timeout=1)
    await eventually(looking(lambda: gone(told)), bool)


async def test_one_that_says_too_much_is_killed() -> None:
    """It does not fill the memory."""
    with pytest.raises(ProgramLateError, match="more than it may"):
        await run(CAT, "/dev/zero", timeout=60)


async def test_a_cancelled_call_leaves_no_process(tmp_path: Path) -> None:
    """Cancelled half-way, the program ends."""
    told = tmp_path / "pid"
    script = f"echo $$ > {told}.part; mv {told}.part {told}; cat {fifo(tmp_path)}"
    task = asyncio.create_task(run(SH, "-c", script, timeout=60))
    await eventually(looking(told.exists), bool)
    assert not gone(told)
    task.cancel()
    await asyncio.wait([task])
    assert gone(told)


async def test_children_of_our_own_are_held() -> None:
    """A module of ours starts isolated, with the memory that it is given and no more."""
    child = await spawn("json.tool", child=Child(memory_bytes=123 << 20), stdin=PIPE, stdout=PIPE)
    limits = resource.prlimit(child.pid, resource.RLIMIT_DATA)
    out, _ = await child.communicate(b"[]")
    assert (out, limits) == (b"[]\n", (123 << 20, 123 << 20))


def gone(told: Path) -> bool:
    """Whether the process whose number a file tells has ended."""
    try:
        return (
            Path(f"/proc/{told.read_text().strip()}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
            == "Z"
        )
    except FileNotFoundError:
        return True


def looking(look: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    """Look as `eventually` does."""

    async def looked() -> bool:
        return look()

    return looked


def fifo(folder: Path) -> Path:
    """Return a pipe that nobody writes to."""
    path = folder / "pipe"
    os.mkfifo(path)
    return path
