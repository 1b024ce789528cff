"""The kit over real gRPC: the example's own process is dialled as the Action Center does; an agent dials by itself."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeAlias

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from quell.device.v1 import agent_service_pb2, agent_service_pb2_grpc
from quell.executor.v1 import executor_service_pb2, executor_service_pb2_grpc
from quell.remediation.v1 import email_pb2, outcome_pb2, remediation_pb2
from quell.warrant.v1 import receipt_pb2, warrant_pb2

import hosts_executor
from deployment import Deployment, make
from house import free_ports
from kit_house import DEPLOYMENT, IDENTITY, ROOT, Center, FakeClock, House, key_set, sealed
from kit_world import content, quarantine
from quell_executor.service import GrpcTransport
from quell_runtime import pki
from quell_runtime.client import problem
from quell_runtime.seams import SystemClock

HOST = "bad.example"
Work: TypeAlias = "grpc.aio.StreamStreamCall[executor_service_pb2.WorkRequest, executor_service_pb2.WorkResponse]"


class RealTime(FakeClock):
    """The machine's own time, when the test began."""

    def __init__(self) -> None:
        """Take it."""
        self.wall = SystemClock().now()


def request(**message: object) -> executor_service_pb2.WorkRequest:
    """Return what goes down."""
    return executor_service_pb2.WorkRequest(**message)  # type: ignore[arg-type]


def hello(start: int = 1) -> executor_service_pb2.WorkRequest:
    """Return the first word."""
    return request(hello=executor_service_pb2.CenterHello(versions=[1], deployment=DEPLOYMENT, start=start))


class Process:
    """The example as a process of its own."""

    def __init__(self, deployment: Deployment, folder: Path) -> None:
        """Write its files."""
        self.deployment = deployment
        self.hosts = folder / "hosts"
        self.hosts.write_text("127.0.0.1 localhost\n")
        pki.save_private(folder / "identity.pem", _identity_pem())
        self.port = free_ports(1)
        api = deployment.credentials("email")
        self.config = folder / "hosts.toml"
        self.config.write_text(
            f'deployment = "{DEPLOYMENT}"\ndata = "{folder}/data"\npeople = "{deployment.people}"\n'
            f'hosts = "{self.hosts}"\nidentity_key = "{folder}/identity.pem"\nroot_key = "{ROOT.public.hex()}"\n'
            f'[api]\nlisten = "127.0.0.1:{self.port}"\ncertificate = "{api.certificate}"\nkey = "{api.key}"\n'
            f'client_ca = "{api.ca}"\n'
        )

    async def start(self) -> None:
        """Start it, and wait until it is ready."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            hosts_executor.__file__,
            "--config",
            self.config,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert self.process.stdout
        assert await asyncio.wait_for(self.process.stdout.readline(), 30) == b"ready\n"

    async def kill(self) -> None:
        """Kill it, as a power cut would."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.communicate()

    @contextlib.asynccontextmanager
    async def called(self, who: str = "actioncenter") -> AsyncIterator[Work]:
        """Call it."""
        async with self.deployment.channel(self.port, who, "email") as channel:
            call = executor_service_pb2_grpc.ExecutorServiceStub(channel).Work()
            yield call
            call.cancel()


def _identity_pem() -> bytes:
    return pki.key_pem(Ed25519PrivateKey.from_private_bytes(bytes([3]) * 32))


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[Process]:
    """Return it running."""
    folder = tmp_path / "deployment"
    folder.mkdir()
    found = Process(make(folder, DEPLOYMENT), tmp_path)
    await found.start()
    yield found
    await found.kill()


async def answered(call: Work, center: Center, warrant: warrant_pb2.Warrant) -> receipt_pb2.Receipt:
    """Send a warrant, and return its receipt."""
    await call.write(hello())
    await call.write(request(key_set=key_set(not_after_time=warrant.expire_time)))
    await call.write(request(warrants=executor_service_pb2.Warrants(warrants=[sealed(warrant)])))
    async with asyncio.timeout(20):
        while not center.of(warrant.action):
            message = await call.read()
            assert isinstance(message, executor_service_pb2.WorkResponse)
            center.hear(message)
    return center.of(warrant.action)[0]


async def test_a_strangers_executor_serves_and_survives_kill_9(process: Process) -> None:
    """Block over mTLS; killed, started again and asked again, it gives the same receipt; undo; nothing twice."""
    center = Center(RealTime())
    block = remediation_pb2.Remediation(block_url=email_pb2.BlockUrl(pattern=HOST))
    warrant = center.warrant(block, target_key=b"", executor_key=IDENTITY.key_id)
    async with process.called() as call:
        done = await answered(call, center, warrant)
    assert done.outcome.effect == outcome_pb2.EFFECT_STATE_IN_FORCE
    assert process.hosts.read_text() == f"127.0.0.1 localhost\n0.0.0.0 {HOST}\n"
    await process.kill()
    await process.start()
    again = Center(RealTime())
    async with process.called() as call:
        assert await answered(call, again, warrant) == done
        back = center.warrant(block, target_key=b"", executor_key=IDENTITY.key_id, undo_of=warrant.action)
        await call.write(request(warrants=executor_service_pb2.Warrants(warrants=[sealed(back)])))
        async with asyncio.timeout(20):
            while not again.of(back.action):
                message = await call.read()
                assert isinstance(message, executor_service_pb2.WorkResponse)
                again.hear(message)
    assert process.hosts.read_text() == "127.0.0.1 localhost\n"


@pytest.mark.parametrize(
    ("who", "first", "code", "reason"),
    [
        ("ann", None, grpc.StatusCode.PERMISSION_DENIED, "NOT_PERMITTED"),
        (
            "actioncenter",
            request(hello=executor_service_pb2.CenterHello(versions=[9], deployment=DEPLOYMENT, start=1)),
            grpc.StatusCode.FAILED_PRECONDITION,
            "PROTOCOL_UNSUPPORTED",
        ),
        (
            "actioncenter",
            request(hello=executor_service_pb2.CenterHello(versions=[1], deployment="other", start=1)),
            grpc.StatusCode.FAILED_PRECONDITION,
            "DEPLOYMENT_MISMATCH",
        ),
    ],
)
async def test_a_wrong_call_has_its_code_and_reason(
    process: Process, who: str, first: executor_service_pb2.WorkRequest | None, code: grpc.StatusCode, reason: str
) -> None:
    """As the contract says."""
    async with process.called(who) as call:
        # Who is refused at the door says nothing: a write that meets the refusal takes its code away from the caller.
        if first:
            await call.write(first)
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await call.read()
    assert (problem(error.value).code, problem(error.value).reason) == (code, reason)


async def test_an_outdated_centre_and_a_replaced_stream_are_told(process: Process) -> None:
    """ABORTED STREAM_REPLACED for the older stream, FAILED_PRECONDITION CENTER_OUTDATED for the older centre."""
    async with process.called() as older, process.called() as newer, process.called() as outdated:
        await older.write(hello(5))
        await older.read()
        await newer.write(hello(5))
        await newer.read()
        with pytest.raises(grpc.aio.AioRpcError) as replaced:
            await older.read()
        await outdated.write(hello(4))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await outdated.read()
    assert problem(replaced.value).reason == "STREAM_REPLACED"
    assert problem(refused.value).reason == "CENTER_OUTDATED"


class Gateway(agent_service_pb2_grpc.AgentServiceServicer):
    """What an agent dials: it hands on to a centre, and says what a test wants."""

    def __init__(self, center: Center) -> None:
        """Stand before a centre."""
        self.center = center
        self.down: asyncio.Queue[executor_service_pb2.WorkRequest] = asyncio.Queue()

    async def Connect(  # type: ignore[override]  # noqa: N802 - the contract's name
        self,
        request_iterator: AsyncIterator[agent_service_pb2.ConnectRequest],
        context: "grpc.aio.ServicerContext[agent_service_pb2.ConnectRequest, agent_service_pb2.ConnectResponse]",
    ) -> None:
        """Hand on, both ways."""
        writing = asyncio.create_task(self._write(context))
        async for message in request_iterator:
            self.center.hear(message.up)
        writing.cancel()

    async def _write(
        self, context: "grpc.aio.ServicerContext[agent_service_pb2.ConnectRequest, agent_service_pb2.ConnectResponse]"
    ) -> None:
        while True:
            await context.write(agent_service_pb2.ConnectResponse(down=await self.down.get()))


async def test_an_agent_that_dials_pumps_its_call_into_the_kit(tmp_path: Path) -> None:
    """The same conversation in the wrappers of AgentService.Connect; when the server goes, it ends quietly."""
    house = House(tmp_path)
    house.world.files = {"/a": content("bad")}
    await house.move_in()
    gateway = Gateway(house.center)  # type: ignore[abstract]
    server = grpc.aio.server()
    agent_service_pb2_grpc.add_AgentServiceServicer_to_server(gateway, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = agent_service_pb2_grpc.AgentServiceStub(channel).Connect()
        transport = GrpcTransport(
            call,
            lambda up: call.write(agent_service_pb2.ConnectRequest(up=up)),
            lambda response: response.down,
        )
        serving = asyncio.create_task(house.executor.serve(transport))
        warrant = house.center.warrant(quarantine("/a"))
        for message in (hello(), request(key_set=key_set()), request(warrants={"warrants": [sealed(warrant)]})):
            gateway.down.put_nowait(message)
        assert (await house.receipt(warrant)).outcome.effect == outcome_pb2.EFFECT_STATE_IN_FORCE
        await server.stop(0)
        await asyncio.wait_for(serving, 10)
    await house.crash()
