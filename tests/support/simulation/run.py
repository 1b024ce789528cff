"""Running one seed from its beginning to its end."""

import asyncio
import gc
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from structlog.typing import EventDict

from simulation.house import Counts, Simulation
from simulation.life import LIFE, Crash, tasks_have_lives
from simulation.loop import LeapingLoop, StuckError
from simulation.nodes import Kinds
from simulation.people import People
from simulation.rest import come_to_rest
from simulation.storm import Storm
from simulation.times import START

MEMORY = Path("/dev/shm")  # noqa: S108 - only faster


@dataclass
class Result:
    """What came of a seed."""

    seed: int
    violations: list[str]
    trace: list[str]
    counts: Counts


def run(seed: int, kinds: Kinds | None = None) -> Result:
    """Run a seed."""
    folder = tempfile.mkdtemp(prefix="quell-simulation-", dir=MEMORY if MEMORY.is_dir() else None)
    # What is collected when, and with what effect, must not depend on what ran before.
    gc.disable()
    try:
        simulation = Simulation(seed, Path(folder), kinds or Kinds())
        structlog.configure(processors=[_heard(simulation)], cache_logger_on_first_use=False)
        with asyncio.Runner(loop_factory=LeapingLoop) as runner:
            runner.get_loop().set_task_factory(tasks_have_lives)  # type: ignore[arg-type]
            runner.get_loop().set_exception_handler(_unheard(simulation))
            try:
                runner.run(_live(simulation))
            except StuckError:
                simulation.violated(9, "everybody waits for ever")
        return Result(seed, simulation.violations, simulation.trace, simulation.counts)
    finally:
        gc.enable()
        gc.collect()
        structlog.reset_defaults()
        shutil.rmtree(folder, ignore_errors=True)


async def _live(simulation: Simulation) -> None:
    simulation.center.new_keys(START)
    storm, people = Storm(simulation), People(simulation)
    chance = simulation.chance("script")
    pace = chance.choice((2, 20, 200))
    for _ in range(chance.randint(20, 40)):
        await asyncio.sleep(pace * chance.random())
        people.act()
        for oracle in simulation.oracles.values():
            oracle.look()
        if chance.random() < 0.5:
            storm.blow()
        if chance.random() < 0.15:
            await storm.sleep()
        if simulation.violations:
            break
    if not simulation.violations:
        await come_to_rest(simulation, people, storm)
    simulation.counts.days = simulation.lapse.elapsed() / 86400
    simulation.counts.actions = len(simulation.oracle.mirror.rows.get("actions", {}))
    await storm.end()


def _heard(simulation: Simulation) -> Callable[[object, str, EventDict], EventDict]:
    """Write down what is logged; an error of the living is one."""

    def hear(_logger: object, method: str, event: EventDict) -> EventDict:
        life, error = LIFE.get(), event.get("exc_info")
        error = sys.exc_info()[1] if error is True else error
        name = life.name if life else ""
        why = " ".join(str(part) for part in (event.get("message"), event.get("why"), error) if part)
        simulation.note(f"log {name}: {event.get('event')} {why}")
        bad = method in ("error", "exception", "critical") and life is not None and life.alive
        if bad and not isinstance(error, Crash) and "simulated" not in str(error):
            simulation.violated(0, f"{name} logs {event.get('event')}: {error!r}")
        raise structlog.DropEvent

    return hear


def _unheard(simulation: Simulation) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    def hear(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, Crash):
            simulation.note(f"loop: {context.get('message')} {error!r}")

    return hear
