"""Many agents in one process that speak the real protocol: enrolled, mutually authenticated, sealed; no effect behind.

Each remembers what it was ordered, as a journal would, so that a lost or a doubled order shows: a second body for one
action is a doubled order, and is written down as such.
"""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from google.protobuf.message import Message
from quell.device.v1 import agent_service_pb2, agent_service_pb2_grpc
from quell.executor.v1 import executor_service_pb2, target_report_pb2
from quell.remediation.v1 import outcome_pb2
from quell.warrant.v1 import enrolment_pb2, receipt_pb2, seal_pb2, warrant_pb2

from quell_runtime import client, enrolment_token, pki
from quell_runtime.sealing import SealKey, device_id, key_id_of
from quell_runtime.seams import SystemRng, new_uuid, stamp

RNG = SystemRng()
Up = executor_service_pb2.WorkResponse
AT_ONCE = 50
"""Agents that enrol at one moment."""
KINDS = ("isolate_device", "release_device_from_isolation")


def _sealed(key: SealKey, message: Message) -> seal_pb2.Sealed:
    return key.seal(message.DESCRIPTOR.full_name, [message.SerializeToString()])[0]


def _pem(certificates: Iterable[bytes]) -> bytes:
    return b"".join(x509.load_der_x509_certificate(each).public_bytes(Encoding.PEM) for each in certificates)


@dataclass
class SimulatedAgent:
    """One machine. `orders`: the digest of each action's warrant; `doubled`: actions that came with two bodies.

    `receipts` are by action, `unstored` those that the centre has not acknowledged, by id.
    """

    number: int
    key: SealKey = field(default_factory=lambda: SealKey(RNG.bytes(32)))
    credentials: grpc.ChannelCredentials | None = None
    orders: dict[str, bytes] = field(default_factory=dict)
    doubled: list[str] = field(default_factory=list)
    receipts: dict[str, tuple[str, Up]] = field(default_factory=dict)
    unstored: dict[str, Up] = field(default_factory=dict)
    streams: int = 0
    first_wait: float = 0.0

    @property
    def name(self) -> str:
        """The device's name."""
        return f"devices/{device_id(key_id_of(self.key.public))}"

    async def enrol(self, stub: "agent_service_pb2_grpc.AgentServiceAsyncStub", token: str) -> None:
        """Get a certificate."""
        tls_key = pki.new_tls_key()
        statement = enrolment_pb2.Enrolment(
            device=self.name,
            identity_key=self.key.public,
            token_digest=enrolment_token.digest_of(token),
            time=stamp(datetime.now(UTC)),
        )
        request = agent_service_pb2.EnrolRequest(
            token=token, enrolment=_sealed(self.key, statement), csr=pki.request(tls_key)
        )
        answer = await stub.Enrol(request, timeout=50)
        roots, chain = _pem(answer.trust_roots), _pem(answer.certificates)
        self.credentials = grpc.ssl_channel_credentials(roots, pki.key_pem(tls_key), chain)

    async def live(self, address: str) -> None:
        """Keep a stream open until cancelled; come back after a short, random wait."""
        assert self.credentials
        await asyncio.sleep(self.first_wait)
        while True:
            async with grpc.aio.secure_channel(address, self.credentials, options=client.options()) as channel:
                try:
                    await self._talk(agent_service_pb2_grpc.AgentServiceStub(channel).Connect())
                except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    await asyncio.sleep(random.uniform(0.1, 1.0))  # noqa: S311 - a wait

    async def _talk(
        self, call: "grpc.aio.StreamStreamCall[agent_service_pb2.ConnectRequest, agent_service_pb2.ConnectResponse]"
    ) -> None:
        kinds = [target_report_pb2.Kind(name=name) for name in KINDS]
        hello = executor_service_pb2.ExecutorHello(version=1, identity_key=self.key.public, kinds=kinds, window=100)
        facts = agent_service_pb2.DeviceFacts(host_name=f"sim-{self.number}", os="simulated")
        await call.write(agent_service_pb2.ConnectRequest(up=Up(hello=hello)))
        await call.write(agent_service_pb2.ConnectRequest(facts=facts))
        hellos = 0
        self.streams += 1
        async for response in call:
            if response.down.HasField("hello"):
                hellos += 1
                # Its own came before the first one; a later one begins the conversation anew.
                again = [*((Up(hello=hello),) if hellos > 1 else ()), *self.unstored.values()]
            else:
                again = self.answers(response.down)
            for up in again:
                await call.write(agent_service_pb2.ConnectRequest(up=up))

    def answers(self, down: executor_service_pb2.WorkRequest) -> list[Up]:
        """Return what is said to what came down: accepted, and the one receipt of each action."""
        for each in down.stored.ids:
            self.unstored.pop(each, None)
        answers: list[Up] = []
        for sealed in down.warrants.warrants:
            action, digest = warrant_pb2.Warrant.FromString(sealed.body).action, hashlib.sha256(sealed.body).digest()
            answers.append(Up(accepted=executor_service_pb2.Accepted(actions=[action])))
            known = self.orders.setdefault(action, digest)
            if known != digest:
                self.doubled.append(action)
            if action not in self.receipts:
                self.receipts[action] = self._receipt(action, digest)
            receipt, up = self.receipts[action]
            self.unstored[receipt] = up
            answers.append(up)
        return answers

    def _receipt(self, action: str, digest: bytes) -> tuple[str, Up]:
        receipt = receipt_pb2.Receipt(
            id=new_uuid(RNG),
            action=action,
            warrant_digest=digest,
            disposition=receipt_pb2.DISPOSITION_CARRIED_OUT,
            outcome=outcome_pb2.Outcome(
                effect=outcome_pb2.EFFECT_STATE_IN_FORCE,
                items=outcome_pb2.ItemCounts(total_items=1, done_items=1),
                undo=outcome_pb2.UNDO_STATE_POSSIBLE,
                end_time=stamp(datetime.now(UTC)),
            ),
            time=stamp(datetime.now(UTC)),
        )
        return receipt.id, Up(receipts=executor_service_pb2.Receipts(receipts=[_sealed(self.key, receipt)]))


@asynccontextmanager
async def living(agents: Sequence[SimulatedAgent], address: str) -> AsyncIterator[None]:
    """Have agents connected, or coming back."""
    tasks = [asyncio.create_task(agent.live(address)) for agent in agents]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def enrolled(agents: Sequence[SimulatedAgent], tokens: Sequence[str], ca: bytes, address: str) -> None:
    """Enrol all of them."""
    room = asyncio.Semaphore(AT_ONCE)
    trusted = grpc.ssl_channel_credentials(ca)

    async def enrol(stub: "agent_service_pb2_grpc.AgentServiceAsyncStub", agent: SimulatedAgent, token: str) -> None:
        async with room:
            await agent.enrol(stub, token)

    async with grpc.aio.secure_channel(address, trusted, options=client.options()) as channel:
        one = partial(enrol, agent_service_pb2_grpc.AgentServiceStub(channel))
        await asyncio.gather(*map(one, agents, tokens))
