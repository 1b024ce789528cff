"""The agent as a process: it alone knows which journal, clock, keys and effects there are."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import structlog
from quell.device.v1 import agent_service_pb2
from quell.warrant.v1 import key_set_pb2

from quell_agent.identity import Identity
from quell_agent.link import Link
from quell_agent.offers import Means, lack, offers
from quell_agent.settings import AgentSettings
from quell_agent.vault_file import VaultKeys
from quell_executor.executor import JOURNAL, Executor
from quell_executor.settings import Seams
from quell_executor.settings import Settings as KitSettings
from quell_runtime import program
from quell_runtime.errors import QuellError
from quell_runtime.kinds import kinds
from quell_runtime.seams import Point, SystemClock, SystemRng, nowhere
from quell_runtime.store.opening import opened

log = structlog.get_logger()
TRY_AGAIN_AFTER = 5.0


@asynccontextmanager
async def composed(settings: AgentSettings, seams: Seams) -> AsyncIterator[Link]:
    """Put the agent together over the data in its folder; enrolled first, if it is new."""
    async with opened(settings.data, JOURNAL, name="journal", point=seams.point) as journal:
        identity = Identity(settings.data, seams.clock)
        welcome = None if identity.enrolled else await _enrolled(identity, settings)
        home, executors = identity.home(), list[Executor]()
        keys = VaultKeys(identity.secret, lambda: _recovery_key(executors[0].key_set))
        found = offers(settings, Means(keys, seams.point))
        ours = [kind.name for kind in kinds().values() if kind.plane == "device"]
        kit = KitSettings(
            home.deployment,
            home.root_key,
            missing={name: lack(name) for name in ours if name not in found},
            max_effects_per_hour=settings.max_effects_per_hour,
            quorums=settings.quorums,
        )
        executor = Executor(kit, identity.key, found, journal, seams)
        executors.append(executor)
        if welcome is not None:
            await executor.learn(welcome.key_set)
        await executor.start()
        try:
            yield Link(identity, executor, settings, seams.rng)
        finally:
            await executor.stop()


def _recovery_key(known: key_set_pb2.KeySet | None) -> bytes | None:
    """Return the deployment's recovery key, for which data keys are wrapped besides."""
    keys = known.keys if known else ()
    good = [key.public_key for key in keys if key.use == key_set_pb2.KEY_USE_RECOVERY and not key.revoked]
    return good[-1] if good else None


async def _enrolled(identity: Identity, settings: AgentSettings) -> agent_service_pb2.EnrolResponse:
    """Enrol, however long nobody can be reached.

    Raises:
        QuellError: The token can't be used, or whoever answers is not whom it names.

    """
    while True:
        try:
            return await identity.enrol(settings)
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise QuellError(f"enrolment was refused: {error.details()}") from None
        except OSError as error:
            log.info("enrolment_waits", why=type(error).__name__)
        await asyncio.sleep(TRY_AGAIN_AFTER)


async def serve(settings: AgentSettings, stop: asyncio.Event, point: Point = nowhere) -> None:
    """Serve until told to stop. Stopping lifts nothing: what is in force stays."""
    running = asyncio.create_task(_run(settings, Seams(SystemClock(), SystemRng(), point)))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if running.done():
        running.result()
    running.cancel()
    await asyncio.wait([running])


async def _run(settings: AgentSettings, seams: Seams) -> None:
    async with composed(settings, seams) as link:
        await link.run(_Ready())


class _Ready:
    """Tells whoever started the process, once, that it is connected: one line on stdout."""

    def __init__(self) -> None:
        self._told = False

    def __call__(self) -> None:
        log.info("connected")
        if not self._told:
            self._told = True
            program.ready()


def main() -> int:
    """Run it."""
    return program.run("quell-agent", AgentSettings.load, serve)


if __name__ == "__main__":
    sys.exit(main())
