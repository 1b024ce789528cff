"""The Action Center as a process: it alone knows which store, clock, keys and links there are."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from functools import partial

from google.protobuf.message import DecodeError
from quell.warrant.v1 import seal_pb2

from quell_actioncenter.api.serving import Served, add_to_server
from quell_actioncenter.application.center import Center, ExecutorSetting, Settings
from quell_actioncenter.links.dialer import GrpcDialer
from quell_actioncenter.settings import ActionCenterSettings, Executor
from quell_runtime import client, pki, program
from quell_runtime.config import ConfigInvalidError, load
from quell_runtime.people import People
from quell_runtime.seams import Point, SystemClock, SystemRng, nowhere
from quell_runtime.server import API, Server, serving
from quell_runtime.store.opening import opened


@contextlib.asynccontextmanager
async def composed(settings: ActionCenterSettings, point: Point = nowhere) -> AsyncIterator[Served]:
    """Put the Action Center together over the data in its folder, and have it work."""
    people = People(settings.people)
    async with opened(settings.data, "quell_actioncenter.store", name="center", point=point) as store:
        center = Center(store, SystemClock(), SystemRng(), _for_center(settings), point=point)
        await center.start(settings.policy.read_text("utf-8") if settings.policy else None)
        try:
            yield Served(center, store, people)
        finally:
            await center.stop()


def _for_center(settings: ActionCenterSettings) -> Settings:
    return Settings(
        deployment=settings.deployment,
        seal_key=pki.load_seal_key(settings.seal_key),
        key_set=_key_set(settings),
        executors=tuple(_executor(settings, executor) for executor in settings.executors),
    )


def _key_set(settings: ActionCenterSettings) -> seal_pb2.Sealed:
    try:
        return seal_pb2.Sealed.FromString(settings.key_set.read_bytes())
    except DecodeError:
        raise ConfigInvalidError(f"{settings.key_set} holds no sealed key set", "key_set") from None


def _executor(settings: ActionCenterSettings, executor: Executor) -> ExecutorSetting:
    files = client.Credentials(executor.server_ca, settings.api.certificate, settings.api.key)
    dialer = GrpcDialer(str(executor.address), files, executor.server_name)
    return ExecutorSetting(executor.plane, bytes.fromhex(executor.identity_key), dialer)


async def serve(settings: ActionCenterSettings, stop: asyncio.Event, point: Point = nowhere) -> None:
    """Serve until told to stop; what is under way at an executor goes on there."""
    async with composed(settings, point) as served:
        server = Server(settings.api, API, settings.deployment, served.people)
        server.add(add_to_server, served)
        async with serving(settings, served.people, server):
            await stop.wait()


def main() -> int:
    """Run it."""
    return program.run("quell-actioncenter", partial(load, ActionCenterSettings), serve)


if __name__ == "__main__":
    sys.exit(main())
