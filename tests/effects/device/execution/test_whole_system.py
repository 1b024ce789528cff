"""On a whole system, with its root folder watched: everything that packages brought goes on, and root comes in."""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from apart import Bystander, stand_on_copy
from effect_runs import DONE, PLANNED, Silent, do, undo
from execution_boot import Unit, reboot
from execution_world import SAID, Order
from execution_world import allowed as allowed_by
from quell_agent.effects.restrict_code_execution import House, RestrictCodeExecution
from quell_agent.execution import fanotify, mounts
from quell_agent.execution.control import Control, Status
from quell_agent.execution.policy import Policy

PACKAGED = (
    ("/bin/bash", "-lc", f"echo {SAID}"),
    ("/bin/sh", "-c", f"echo {SAID} | cat | sort | head"),
    ("/usr/bin/perl", "-MFile::Temp", "-e", f"print '{SAID}'"),
    ("/usr/bin/env", "sh", "-c", f"echo {SAID}"),
    ("/bin/su", "-c", f"echo {SAID}"),
    ("/usr/bin/awk", f'BEGIN {{ print "{SAID}" }}'),
)
DATA = Path("/var/lib/quell-test/execution")


class Place:
    """The system."""

    def __init__(self) -> None:
        """Put a stranger on it."""
        self.bystander = Bystander()
        self.stranger = Path("/usr/local/bin/stranger")
        shutil.copy("/bin/echo", self.stranger)
        with self.stranger.open("ab") as out:
            out.write(b"x")

    def runs(self, *command: str | Path) -> bool:
        """Tell whether a command says what it is told."""
        return SAID in self.bystander.run(list(map(str, command)), 30)

    def stranger_runs(self) -> bool:
        """Tell whether the stranger does."""
        return self.runs(self.stranger, SAID)

    def packaged_run(self) -> list[bool]:
        """Tell of each packaged program that is here whether it runs."""
        return [self.runs(*command) for command in PACKAGED if Path(command[0]).exists()]

    async def status(self) -> Status:
        """Ask the guardian."""
        status = await Control(DATA, "/").status()
        assert status is not None
        return status


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return a whole system: a copy of this machine's. The machine's own file systems are out of reach."""
    if fanotify.missing():
        pytest.skip(fanotify.missing())
    machine = {os.stat(path).st_dev for path in ("/", "/tmp", "/dev/shm")}  # noqa: S108, PTH116
    stand_on_copy(tmp_path / "copy")
    watched = {os.makedev(*map(int, device.split(":"))) for device in mounts.mounted()}
    assert watched, "nothing to watch"
    assert not watched & machine, "the machine itself would be watched"
    return Place()


@pytest.mark.parametrize("dead", ["open", "closed"])
async def test_a_system_goes_on(place: Place, dead: str) -> None:
    """Under it packaged programs run and a stranger does not; a guard that dies, and the agent anew, change nothing.

    While there is no guard nobody waits; where it is closed then, a stranger does not start either.
    """
    assert place.stranger_runs()
    before = place.packaged_run()
    run = await do(RestrictCodeExecution(House(DATA, base=Policy(dead=dead))), Order())
    assert (run.after, run.reasons) == ([DONE, DONE], ["", ""])
    assert place.packaged_run() == before == [True] * len(before)
    assert not place.stranger_runs()
    killed = (await place.status()).guard
    os.kill(killed, signal.SIGKILL)
    end = time.monotonic() + 30
    while (await place.status()).guard in (0, killed):
        assert time.monotonic() < end
        assert (place.packaged_run() == before) if dead == "open" else not place.stranger_runs()
    assert place.packaged_run() == before
    assert not place.stranger_runs()
    # A new process of the agent's own code, from its own folders, is a program like any other.
    code = f"import quell_agent.effects.restrict_code_execution; print('{SAID}')"
    assert place.runs(sys.executable, "-c", code)
    assert (await undo(RestrictCodeExecution(House(DATA)), run.plan)).after == [DONE, DONE]
    assert place.stranger_runs()


async def test_broken_and_closed_the_minimum_starts(place: Place) -> None:
    """After a boot with what can't be read, what packages brought and the agent start, until the agent makes it right.

    Control: without the unit a stranger starts, and so does what the order allows with the agent there.
    """
    allowed = shutil.copy(place.stranger, "/usr/local/bin/allowed")
    before = place.packaged_run()
    effect = RestrictCodeExecution(House(DATA, base=Policy(dead="closed")))
    plan = (await do(effect, Order(allowed=[allowed_by(path=allowed)]))).plan
    assert (place.runs(allowed, SAID), place.stranger_runs()) == (True, False)
    (DATA / "policy.json").write_text("")
    await reboot(DATA, "/")
    assert place.stranger_runs()
    said = Unit(DATA, "/", unguarded="closed").start()
    assert said.endswith("started")
    assert "policy.json" in said
    assert (place.packaged_run(), place.runs(allowed, SAID), place.stranger_runs()) == (before, False, False)
    agents = f"import quell_agent.effects.restrict_code_execution; print('{SAID}')"
    assert place.runs(sys.executable, "-c", agents)
    guardian = (await place.status()).guardian
    effect = RestrictCodeExecution(House(DATA))
    assert (await effect.probe(plan))[0].state == PLANNED
    await effect.apply(plan, Silent())
    assert {each.state for each in await effect.probe(plan)} == {DONE}
    assert (place.runs(allowed, SAID), place.stranger_runs()) == (True, False)
    assert (await place.status()).guardian == guardian
    assert set((await undo(effect, plan)).after) == {DONE}


async def test_closed_without_a_guard_root_comes_in_and_ends_it(place: Place) -> None:
    """Where no guard can be had, root's ways in and out start, with their libraries; other programs do not."""
    effect = RestrictCodeExecution(House(DATA, base=Policy(dead="closed")))
    await do(effect, Order())
    status = await place.status()
    (DATA / "policy.json").write_text("")
    os.kill(status.guard, signal.SIGKILL)
    del effect
    end = time.monotonic() + 30
    while (await place.status()).policy:
        assert time.monotonic() < end
    assert not place.stranger_runs()
    assert not place.runs("/usr/bin/perl", "-e", f"print '{SAID}'")
    assert place.runs("/bin/su", "-c", f"echo {SAID}")
    assert place.runs("/bin/bash", "-lc", f"systemctl --version >/dev/null && echo {SAID}")
    place.runs("/bin/su", "-c", f"kill {status.guardian}")
    assert place.stranger_runs()
