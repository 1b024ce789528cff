"""A device service over real gRPC, and a stand-in for an agent that speaks the real protocol."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from google.protobuf.message import Message
from quell.device.v1 import (
    agent_service_pb2,
    agent_service_pb2_grpc,
    fleet_service_pb2,
    fleet_service_pb2_grpc,
)
from quell.executor.v1 import executor_service_pb2, target_report_pb2
from quell.remediation.v1 import failure_pb2, outcome_pb2
from quell.warrant.v1 import enrolment_pb2, receipt_pb2, seal_pb2, warrant_pb2

from deployment import Deployment
from quell_device.__main__ import Service, composed
from quell_device.settings import Agents, ArtifactStore, DeviceSettings, Dialled
from quell_runtime import client, enrolment_token, pki
from quell_runtime.sealing import SealKey
from quell_runtime.seams import SystemRng, new_uuid, stamp

RNG = SystemRng()
ROOT = SealKey(bytes(range(32)))
SOON = 20.0


class SetClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        """Begin now."""
        self.ahead = timedelta()

    def now(self) -> datetime:
        """Return the wall clock."""
        return datetime.now(UTC) + self.ahead

    def boot(self) -> float:
        """Return seconds since some time."""
        return self.now().timestamp()


def sealed(key: SealKey, message: Message) -> seal_pb2.Sealed:
    """Seal one message."""
    return key.seal(message.DESCRIPTOR.full_name, [message.SerializeToString()])[0]


def action_name() -> str:
    """Return a new action's name."""
    return f"actions/{new_uuid(RNG)}"


@dataclass
class Token:
    """A device that has a token and a key of its own."""

    text: str
    key: SealKey = field(default_factory=lambda: SealKey(RNG.bytes(32)))
    sealed: seal_pb2.Sealed | None = None
    tls_key: ec.EllipticCurvePrivateKey = field(default_factory=pki.new_tls_key)

    @property
    def device(self) -> str:
        """The id that the key makes."""
        return pki_id(self.key)

    def request(self, *, time: datetime | None = None) -> agent_service_pb2.EnrolRequest:
        """Return what an agent sends."""
        statement = enrolment_pb2.Enrolment(
            device=f"devices/{self.device}",
            identity_key=self.key.public,
            token_digest=enrolment_token.digest_of(self.text),
            time=stamp(time or datetime.now(UTC)),
        )
        self.sealed = sealed(self.key, statement)
        return agent_service_pb2.EnrolRequest(token=self.text, enrolment=self.sealed, csr=pki.request(self.tls_key))


def pki_id(key: SealKey) -> str:
    """Return the id of the device with this key, written on its own from the contract's words."""
    import base64  # noqa: PLC0415 - here alone

    return base64.b32encode(key.key_id[:16]).decode().rstrip("=").lower()


class House:
    """The device service and how to reach it."""

    def __init__(self, deployment: Deployment, folder: Path, service: Service, clock: SetClock) -> None:
        """Know where everything is."""
        self.deployment = deployment
        self.folder = folder
        self.service = service
        self.clock = clock

    @asynccontextmanager
    async def fleet(self, who: str = "dan") -> "AsyncIterator[fleet_service_pb2_grpc.FleetServiceAsyncStub]":
        """Dial the fleet as somebody."""
        async with self.deployment.channel(self.service.api.port, who, "device") as channel:
            yield fleet_service_pb2_grpc.FleetServiceStub(channel)

    @asynccontextmanager
    async def enrolling(self) -> "AsyncIterator[agent_service_pb2_grpc.AgentServiceAsyncStub]":
        """Dial the enrolment listener, without a certificate."""
        trusted = grpc.ssl_channel_credentials(self.deployment.ca.read_bytes())
        address = f"127.0.0.1:{self.service.enrolment.port}"
        async with grpc.aio.secure_channel(address, trusted, client.options("device")) as channel:
            yield agent_service_pb2_grpc.AgentServiceStub(channel)

    async def token(self, **fields: object) -> str:
        """Make an enrolment token."""
        async with self.fleet() as fleet:
            request = fleet_service_pb2.CreateEnrolmentTokenRequest(**fields)  # type: ignore[arg-type]
            return (await fleet.CreateEnrolmentToken(request, timeout=10)).token

    async def enrolled(self, **fields: object) -> "Agent":
        """Enrol a new device."""
        token = Token(await self.token(**fields))
        async with self.enrolling() as stub:
            answer = await stub.Enrol(token.request(), timeout=10)
        certificate, key = self.folder / f"{token.device}.crt", self.folder / f"{token.device}.key"
        certificate.write_bytes(
            b"".join(x509.load_der_x509_certificate(each).public_bytes(Encoding.PEM) for each in answer.certificates)
        )
        key.write_bytes(pki.key_pem(token.tls_key))
        return Agent(self, token.key, client.Credentials(self.deployment.ca, certificate, key), token)

    async def device(self, name: str) -> target_report_pb2.TargetState.ValueType:
        """Return the state of a device."""
        async with self.fleet() as fleet:
            answer = await fleet.GetDevice(fleet_service_pb2.GetDeviceRequest(name=name), timeout=10)
        return answer.device.state

    async def ban(self, name: str) -> None:
        """Ban a device."""
        async with self.fleet() as fleet:
            await fleet.BanDevice(fleet_service_pb2.BanDeviceRequest(name=name, comment="lost"), timeout=10)


def settings(deployment: Deployment, data: Path, store: ArtifactStore | None = None) -> DeviceSettings:
    """Return the configuration of a device service on free ports."""
    listener, open_one = deployment.listener("device"), deployment.enrolment()
    if not (data / "identity.key").exists():
        data.mkdir(exist_ok=True)
        pki.new_seal_key(data / "identity.key")
    return DeviceSettings(
        deployment=deployment.name,
        data=data,
        people=deployment.people,
        api=listener,
        identity_key=data / "identity.key",
        root_key=ROOT.public.hex(),
        agents=Agents(
            listen=listener.listen,
            certificate=listener.certificate,
            key=listener.key,
            ca_certificate=deployment.folder / "agents-ca.crt",
            ca_key=deployment.folder / "agents-ca.key",
        ),
        enrolment=Dialled(listen=open_one.listen, certificate=open_one.certificate, key=open_one.key),
        artifacts=store or ArtifactStore(),
    )


@asynccontextmanager
async def running(deployment: Deployment, folder: Path, store: ArtifactStore | None = None) -> AsyncIterator[House]:
    """Run a device service over the data in a folder."""
    clock = SetClock()
    async with composed(settings(deployment, folder / "device", store), clock) as service:
        servers = (service.api, service.agents, service.enrolment)
        for server in servers:
            await server.start()
        try:
            yield House(deployment, folder, service, clock)
        finally:
            await asyncio.gather(*(server.drain(settle_s=0, grace_s=0) for server in servers))


@dataclass
class Agent:
    """An agent that keeps the protocol: it accepts warrants, and sends receipts again until they are stored."""

    house: House
    key: SealKey
    credentials: client.Credentials
    token: Token
    unstored: dict[str, executor_service_pb2.WorkResponse] = field(default_factory=dict)
    received: list[executor_service_pb2.WorkRequest] = field(default_factory=list)
    done: set[str] = field(default_factory=set)
    host_name: str = "lab-1"
    carries_out: bool = False

    @property
    def name(self) -> str:
        """The device."""
        return f"devices/{self.token.device}"

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[grpc.aio.Channel]:
        """Dial the agents' listener."""
        address = f"127.0.0.1:{self.house.service.agents.port}"
        async with client.channel(address, self.credentials, "device") as channel:
            yield channel

    @asynccontextmanager
    async def connected(self) -> AsyncIterator["Stream"]:
        """Hold the conversation, as the protocol says, until left."""
        async with self.opened() as stream:
            await stream.say_hello()
            yield stream

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Stream"]:
        """Open a stream and say nothing: what one that is refused writes can hide why."""
        async with self.channel() as channel:
            stream = Stream(self, agent_service_pb2_grpc.AgentServiceStub(channel).Connect())
            task = asyncio.create_task(stream.run())
            try:
                yield stream
            finally:
                stream.call.cancel()
                await asyncio.wait([task])

    def receipt(self, action: str) -> executor_service_pb2.WorkResponse:
        """Return a sealed receipt for an action, which is to be sent until it is stored."""
        receipt = receipt_pb2.Receipt(
            id=new_uuid(RNG),
            action=action,
            warrant_digest=bytes(32),
            disposition=receipt_pb2.DISPOSITION_REFUSED,
            failure=failure_pb2.Failure(reason="PROTECTED"),
            time=stamp(datetime.now(UTC)),
        )
        if self.carries_out:
            receipt.disposition = receipt_pb2.DISPOSITION_CARRIED_OUT
            receipt.outcome.effect = outcome_pb2.EFFECT_STATE_IN_FORCE
            receipt.ClearField("failure")
        receipts = executor_service_pb2.Receipts(receipts=[sealed(self.key, receipt)])
        response = executor_service_pb2.WorkResponse(receipts=receipts)
        self.unstored[receipt.id] = response
        return response


@dataclass
class Stream:
    """One stream of an agent."""

    agent: Agent
    call: "grpc.aio.StreamStreamCall[agent_service_pb2.ConnectRequest, agent_service_pb2.ConnectResponse]"
    code: grpc.StatusCode | None = None
    reason: str = ""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    one_writer: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def say_hello(self) -> None:
        """Say hello and what the machine is like, and send again what is not stored."""
        kinds = [target_report_pb2.Kind(name="stop_and_quarantine")]
        hello = executor_service_pb2.ExecutorHello(version=1, identity_key=self.agent.key.public, kinds=kinds)
        await self.up(executor_service_pb2.WorkResponse(hello=hello))
        await self.say_facts()
        await self.say_unstored()

    async def say_unstored(self) -> None:
        """Send what is not stored yet."""
        for response in tuple(self.agent.unstored.values()):
            await self.up(response)

    async def say_facts(self) -> None:
        """Say what the machine is like."""
        facts = agent_service_pb2.DeviceFacts(host_name=self.agent.host_name, os="Debian GNU/Linux 12")
        await self.write(agent_service_pb2.ConnectRequest(facts=facts))

    async def up(self, response: executor_service_pb2.WorkResponse) -> None:
        """Send one message."""
        await self.write(agent_service_pb2.ConnectRequest(up=response))

    async def write(self, request: agent_service_pb2.ConnectRequest) -> None:
        """Send what an agent sends, one at a time, as gRPC wants it."""
        async with self.one_writer:
            await self.call.write(request)

    async def run(self) -> None:
        """Answer what comes, until the stream ends."""
        hellos = 0
        try:
            async for response in self.call:
                self.agent.received.append(response.down)
                if response.down.HasField("hello"):
                    hellos += 1
                    # Its own hello came before the first one; what it sent since may have met nobody.
                    await (self.say_hello() if hellos > 1 else self.say_unstored())
                await self.answer(response.down)
        except grpc.aio.AioRpcError as error:
            self.code, self.reason = error.code(), client.problem(error).reason
        except (asyncio.CancelledError, asyncio.InvalidStateError):
            self.code = grpc.StatusCode.CANCELLED
        self.ended.set()

    async def answer(self, request: executor_service_pb2.WorkRequest) -> None:
        """Accept warrants, once; forget what is stored."""
        for each in request.stored.ids:
            self.agent.unstored.pop(each, None)
        for warrant in request.warrants.warrants:
            action = warrant_pb2.Warrant.FromString(warrant.body).action
            accepted = executor_service_pb2.Accepted(actions=[action])
            await self.up(executor_service_pb2.WorkResponse(accepted=accepted))
            if action not in self.agent.done:
                self.agent.done.add(action)
                await self.up(self.agent.receipt(action))


async def refused(call: Callable[[], object]) -> client.Problem:
    """Return how a call was refused."""
    try:
        await call()  # type: ignore[misc]
    except grpc.aio.AioRpcError as error:
        return client.problem(error)
    raise AssertionError("it was not refused")
