"""The process that acts, put together: it alone knows which journal, clock, keys and effects there are.

It opens no network socket; what is said to the gateway goes through the talker.
"""

import asyncio
import resource
from ipaddress import ip_address
from typing import Any

import structlog
from quell.agent.v1 import line_pb2

from quell_agent import supervisor
from quell_agent.departure import Departure, depart, resumed
from quell_agent.effects.offboard_machine import LIFTED
from quell_agent.identity import Identity
from quell_agent.isolation.control import ControlChannel, Endpoint
from quell_agent.line import Line
from quell_agent.offers import Means, lack, offers
from quell_agent.settings import AgentSettings
from quell_agent.talker import user
from quell_agent.vault_file import VaultKeys
from quell_executor.executor import JOURNAL, Executor
from quell_executor.lifting import Lifting
from quell_executor.settings import Seams
from quell_executor.settings import Settings as KitSettings
from quell_runtime import addresses, program
from quell_runtime.data_keys import recovery_key
from quell_runtime.kinds import kinds
from quell_runtime.seams import Point, SystemClock, SystemRng, nowhere
from quell_runtime.store import Store
from quell_runtime.store.opening import opened

log = structlog.get_logger()
LIFT_WITHIN = 60.0
"""Seconds for taking back what stands, before the machine leaves."""


async def serve(settings: AgentSettings, stop: asyncio.Event, point: Point = nowhere) -> None:
    """Serve until told to stop. Stopping lifts nothing: what is in force stays."""
    most = settings.memory_mb << 20
    # What it starts inherits it.
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    running = asyncio.create_task(_run(settings, Seams(SystemClock(), SystemRng(), point)))
    alive, stopping = asyncio.create_task(supervisor.keep_alive()), asyncio.create_task(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    supervisor.tell("STOPPING=1")
    for task in (stopping, alive):
        task.cancel()
    if running.done():
        running.result()
    running.cancel()
    await asyncio.wait([running])


async def _run(settings: AgentSettings, seams: Seams) -> None:
    """Be the agent, enrolled first if it is new."""
    if await resumed(settings.data):
        return
    async with opened(settings.data, JOURNAL, name="journal", point=seams.point) as journal:
        identity = Identity(settings, seams.clock)
        line = Line(identity, settings, seams.rng, _Ready())
        talking = asyncio.create_task(line.run())
        try:
            welcome = None if identity.enrolled else await _first(talking, line.welcome)
            executor = _executor(settings, seams, identity, line, journal)
            if welcome is not None:
                await executor.learn(welcome.key_set)
            await executor.start()
            supervisor.tell("READY=1")
            leaving = asyncio.create_task(Departure(settings.data, journal).wait())
            try:
                await line.stay(executor)
                await asyncio.wait([talking, leaving], return_when=asyncio.FIRST_COMPLETED)
                if not leaving.done():
                    talking.result()
            finally:
                leaving.cancel()
                await executor.stop()
        finally:
            talking.cancel()
            await asyncio.wait([talking])
    # Its journal is closed. Whoever was told that it left has its receipt.
    await depart(settings.data)


async def _first(talking: asyncio.Task[None], welcome: asyncio.Future[line_pb2.Enrolled]) -> line_pb2.Enrolled:
    """Wait until the agent is enrolled, however long nobody can be reached."""
    # As long as it waits for that it runs as it should.
    supervisor.tell("READY=1")
    either: set[asyncio.Future[Any]] = {talking, welcome}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if talking.done():
        talking.result()
    return await welcome


def _executor(settings: AgentSettings, seams: Seams, identity: Identity, line: Line, journal: Store) -> Executor:
    home, executors = identity.home(), list[Executor]()
    keys = VaultKeys(identity.secret, lambda: recovery_key(executors[0].key_set))
    _, talker = user.prepared(settings.data)
    lifting = Lifting(journal, LIFTED, LIFT_WITHIN)
    means = Means(keys, seams.point, line.uploads, lambda: _control(identity, talker), lifting)
    found = offers(settings, means)
    ours = [kind.name for kind in kinds().values() if kind.plane == "device"]
    kit = KitSettings(
        home.deployment,
        home.root_key,
        missing={name: lack(name) for name in ours if name not in found},
        max_effects_per_hour=settings.max_effects_per_hour,
        quorums=settings.quorums,
    )
    executors.append(Executor(kit, identity.key, found, journal, seams))
    return executors[0]


def _control(identity: Identity, talker: int) -> ControlChannel:
    """Return the way to the gateway as it is now."""
    gateway = addresses.parse(identity.home().address)
    ends = (Endpoint(ip_address(host), gateway.port) for host in identity.hosts())
    return ControlChannel(tuple(ends), talker)


class _Ready:
    """Tells whoever started the process, once, that it is connected: one line on stdout."""

    def __init__(self) -> None:
        self._told = False

    def __call__(self) -> None:
        log.info("connected")
        if not self._told:
            self._told = True
            program.ready()
