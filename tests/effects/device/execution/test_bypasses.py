"""Ways around the restriction, each tried without it, under it, and after it.

What still runs under it is a known limit, and stands in `docs/device-actions/restrict-code-execution.md`.
"""

import shlex

import pytest

from effect_runs import do, undo
from execution_world import SAID, Attempt, Order, World

LOADER = "/lib64/ld-linux-x86-64.so.2"
FROM_MEMORY = """
import os, sys
memory = os.memfd_create("x", 0)
os.write(memory, open(sys.argv[1], "rb").read())
os.execve(memory, ["echo", sys.argv[2]], {})
"""
LOADS = """
import ctypes, sys
ctypes.CDLL(sys.argv[1])
print(sys.argv[2])
"""


def shell(line: str) -> Attempt:
    """Return an attempt by a line of shell; `@` is its root folder."""
    return lambda world: world.runs("/bin/bash", "-c", line.replace("@", str(world.root)))


def preload(world: World) -> bool:
    """Have a library loaded into a packaged program."""
    said = world.says("/usr/bin/env", f"LD_PRELOAD={world.library}", "/bin/cat", "/proc/self/maps")
    return any("r-xp" in line and line.endswith(str(world.library)) for line in said.splitlines())


def python(code: str, file: str) -> Attempt:
    """Return an attempt by a line of Python."""
    return lambda world: world.runs("/usr/bin/env", "python3", "-c", code, world.root / file, SAID)


def private_memory(world: World) -> bool:
    """Start it from a file system in memory that only an own namespace of mounts has."""
    place = world.root / "other"
    place.mkdir(exist_ok=True)
    line = f"mount -t tmpfs x {place} && cat > {place}/bad && chmod 755 {place}/bad && {place}/bad {shlex.quote(SAID)}"
    return world.runs("/bin/bash", "-c", f"unshare -m /bin/sh -c {shlex.quote(line)} < /bin/echo")


def renamed(world: World) -> bool:
    """Start it after it was read under another name, which the kernel might remember."""
    line = f"cat {world.bad} > /dev/null; mv {world.bad} {world.bad}.2; {world.bad}.2 {SAID!r}"
    return world.runs("/bin/bash", "-c", line)


REFUSED: dict[str, Attempt] = {
    "program": shell(f"@/bad {SAID!r}"),
    "shell script": shell("@/bad.sh"),
    "Python script": shell("@/bad.py"),
    "own namespace of mounts": shell(f"unshare -m @/bad {SAID!r}"),
    "mounted at another place": shell(
        f"mkdir -p @/other; unshare -m /bin/sh -c \"mount --bind @ @/other && @/other/bad '{SAID}'\""
    ),
    "by the loader": shell(f"{LOADER} @/bad {SAID!r}"),
    "library that is preloaded": preload,
    "library that Python loads": python(LOADS, "bad.so"),
    "script of a shell": shell("/bin/bash @/bad.sh"),
    "script that a shell takes in": shell(". @/bad.sh"),
    "script of another shell": shell("/bin/sh @/bad.sh"),
    "script of Python": shell("/usr/bin/env python3 @/bad.py"),
    "script that Python reads": python("import sys; exec(open(sys.argv[1]).read())", "bad.py"),
    "script, read by another before": shell("cat @/bad.sh > /dev/null; . @/bad.sh"),
    "script, read by another, linked": shell("cat @/bad.sh > /dev/null; ln @/bad.sh @/data.txt; . @/data.txt"),
    "program, moved": renamed,
    "program, copied": shell(f"cp @/bad @/worse && @/worse {SAID!r}"),
    "program, by its descriptor": shell(f"exec 5< @/bad && /proc/self/fd/5 {SAID!r}"),
    "packaged program, changed": shell(f"cp @/usr/bin/echo @/echo && @/echo {SAID!r}"),
    "from memory, its file read": python(FROM_MEMORY, "bad"),
    "from memory, no file of it watched": lambda world: world.runs(
        "/usr/bin/env", "python3", "-c", FROM_MEMORY, "/bin/echo", SAID
    ),
}
RUNS: dict[str, Attempt] = {
    "script through a pipe": shell("cat @/bad.sh | /bin/bash"),
    "words for a shell": shell(f"/bin/bash -c 'echo {SAID}'"),
    "script without a name or first line of one": shell(f"echo 'echo {SAID}' > @/plain; /bin/bash @/plain"),
    "compiled Python": shell(
        'cat @/bad.py | python3 -c \'import py_compile as p; p.compile("/dev/stdin", "@/bad.pyc")\'; python3 @/bad.pyc'
    ),
    "own file system in an own namespace of mounts, at once": private_memory,
}


@pytest.mark.parametrize("way", [*REFUSED, *RUNS])
async def test_ways_around_it(world: World, way: str) -> None:
    """Without the restriction each runs; under it, it is refused, or is a known limit; afterwards it runs again."""
    attempt = (REFUSED | RUNS)[way]
    effect = world.effect()
    run = await do(effect, Order())
    fresh(world)
    under = attempt(world)
    await undo(effect, run.plan)
    fresh(world)
    after = attempt(world)
    assert (under, after) == (way in RUNS, True)


@pytest.mark.parametrize("way", [*REFUSED, *RUNS])
def test_ways_without_it(world: World, way: str) -> None:
    """Control: each runs where nothing is restricted."""
    assert (REFUSED | RUNS)[way](world)


def fresh(world: World) -> None:
    """Have the strangers there as they were made."""
    world.bad = world.stranger("bad")
    for name in ("data.txt", "worse", "plain", "bad.2", "bad.pyc"):
        (world.root / name).unlink(missing_ok=True)
