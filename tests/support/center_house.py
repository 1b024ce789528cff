"""A whole Action Center with an email executor behind it, over real gRPC, for pytest-grpc's fixtures.

A module of tests takes from here `grpc_servicer`, `grpc_add_to_server`, `grpc_stub_cls` and `house` beside what it
takes from `grpc_fixtures`. The executor is the real kit over mail in memory (`memory_mail`).
"""

import asyncio
import hashlib
import sqlite3
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pytest
from quell.actioncenter.v1 import (
    action_service_pb2_grpc,
    audit_service_pb2_grpc,
    control_service_pb2_grpc,
    effect_service_pb2_grpc,
    investigation_service_pb2_grpc,
    policy_service_pb2_grpc,
)
from quell.executor.v1 import executor_service_pb2_grpc

from deployment import Deployment
from eventually import eventually
from memory_mail import Mail
from quell_actioncenter.__main__ import composed
from quell_actioncenter.api.serving import Served, add_to_server
from quell_actioncenter.domain.policy_yaml import default_document
from quell_actioncenter.settings import ActionCenterSettings
from quell_actioncenter.settings import Executor as ExecutorSection
from quell_actioncenter.store.tables import EXECUTORS, OUTBOX
from quell_executor.executor import JOURNAL, Executor
from quell_executor.quorum import Quorum
from quell_executor.service import ExecutorServicer
from quell_executor.settings import Seams, Settings
from quell_runtime import addresses, key_sets, pki
from quell_runtime.people import People
from quell_runtime.sealing import SealKey
from quell_runtime.server import API, Server
from quell_runtime.store.opening import opened

T = TypeVar("T")
ROOT = SealKey(bytes(range(32)))
IDENTITY = SealKey(bytes(range(32, 64)))
STUBS = (
    investigation_service_pb2_grpc.InvestigationServiceStub,
    action_service_pb2_grpc.ActionServiceStub,
    effect_service_pb2_grpc.EffectServiceStub,
    control_service_pb2_grpc.ControlServiceStub,
    policy_service_pb2_grpc.PolicyServiceStub,
    audit_service_pb2_grpc.AuditServiceStub,
)
OUR_OWN = """
  - name: our-own
    things: {url_hosts: ["quell.example"]}"""
POLICY = default_document().replace("exclusions: []", f"exclusions:{OUR_OWN}")


class Stub:
    """Every RPC of the Action Center as one stub."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """Take them from the services' own."""
        for stub in STUBS:
            vars(self).update(vars(stub(channel)))


class House:
    """The Action Center and its executor in one folder; what is asked of them runs in their own loop."""

    def __init__(self, deployment: Deployment, folder: Path, quorums: Mapping[str, Quorum] | None = None) -> None:
        """Know where everything will be; `quorums` are the executor's own."""
        self.quorums = quorums or {}
        self.deployment = deployment
        self.folder = folder
        self.mail = Mail()
        self.served: Served
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: Server | None = None
        self._listen = "127.0.0.1:0"

    @asynccontextmanager
    async def lived_in(self) -> AsyncIterator[Served]:
        """Run it."""
        self._loop = asyncio.get_running_loop()
        async with opened(self.folder / "email", JOURNAL, name="journal") as journal:
            settings = Settings(self.deployment.name, ROOT.public, quorums=self.quorums)
            self._executor = Executor(settings, IDENTITY, self.mail.offers(), journal, Seams())
            await self._executor.start()
            await self.executor_comes()
            async with composed(self._settings()) as self.served:
                await eventually(partial(self.served.store.select, EXECUTORS), bool)
                yield self.served
            await self.executor_goes()
            await self._executor.stop()

    async def executor_comes(self) -> None:
        """Let the centre reach the executor."""
        listener = self.deployment.listener("email", self._listen)
        self._server = Server(listener, API, self.deployment.name, People(self.deployment.people))
        servicer = ExecutorServicer(self._executor)
        self._server.add(executor_service_pb2_grpc.add_ExecutorServiceServicer_to_server, servicer)
        await self._server.start()
        self._listen = f"127.0.0.1:{self._server.port}"

    async def executor_goes(self) -> None:
        """Let nobody reach the executor."""
        if self._server:
            await self._server.drain(settle_s=0, grace_s=0)
        self._server = None

    async def within(self, asked: Coroutine[Any, Any, T]) -> T:
        """Have something done in the house's own loop."""
        assert self._loop
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asked, self._loop))

    async def settled(self) -> None:
        """Wait until nothing is under way."""

        async def under_way() -> int:
            return len(await self.within(self.served.store.select(OUTBOX)))

        await eventually(under_way, lambda count: not count)

    def kept(self) -> str:
        """Return a digest of all that the centre keeps."""
        with sqlite3.connect(self.folder / "center" / "center.db") as database:
            digest = hashlib.sha256("\n".join(database.iterdump()).encode())
        database.close()
        return digest.hexdigest()

    def _settings(self) -> ActionCenterSettings:
        self.folder.joinpath("policy.yaml").write_text(POLICY)
        key = pki.new_seal_key(self.folder / "center.pem")
        keys = [key_sets.sealing_key(key.public, datetime.now(UTC), timedelta(days=1))]
        sealed = key_sets.sealed(ROOT, self.deployment.name, 1, keys)
        self.folder.joinpath("key_set.bin").write_bytes(sealed.SerializeToString())
        executor = ExecutorSection(
            plane="email",
            address=addresses.parse(self._listen),
            identity_key=IDENTITY.key_id.hex(),
            server_ca=self.deployment.ca,
            server_name="email",
        )
        return ActionCenterSettings(
            deployment=self.deployment.name,
            data=self.folder / "center",
            people=self.deployment.people,
            api=self.deployment.listener("actioncenter"),
            seal_key=self.folder / "center.pem",
            key_set=self.folder / "key_set.bin",
            policy=self.folder / "policy.yaml",
            executors=(executor,),
        )


@pytest.fixture(scope="module")
def house(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> House:
    """Return the house that a module's tests share."""
    return House(deployment, tmp_path_factory.mktemp("house"))


@pytest.fixture(scope="module")
def grpc_servicer(house: House) -> AbstractAsyncContextManager[Served]:
    """Serve all of it."""
    return house.lived_in()


@pytest.fixture(scope="module")
def grpc_add_to_server() -> object:
    """Register it so."""
    return add_to_server


@pytest.fixture(scope="module")
def grpc_stub_cls() -> object:
    """Call it so."""
    return Stub
