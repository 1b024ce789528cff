"""Many agents at one gateway: memory of idle streams, and an approval that fans out, each beside a bare stream.

The agents are simulated and speak the real protocol. `python fleet.py CLIENT ...` is how their processes are started.
"""

import asyncio
import json
import random
import resource
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

from quell.actioncenter.v1 import action_pb2, action_service_pb2, action_service_pb2_grpc
from quell.device.v1 import fleet_service_pb2, fleet_service_pb2_grpc
from quell.remediation.v1 import device_pb2, remediation_pb2

from quell_cli import deployment
from quell_cli.connection import Connection
from quell_cli.deployment import Folder, Ports
from simulated_fleet import SimulatedAgent, enrolled, living

PORTS = Ports(28443)
BARE = 28455
CLIENTS = 2
VOTES = 500
SOON = 50
LONG = 600.0


@dataclass
class Fleet:
    """Agents in processes of their own, connected to a gateway, or to the bare server."""

    folder: Folder
    clients: Sequence[asyncio.subprocess.Process]

    async def connected(self, address: str) -> None:
        """Have all of them connect, and wait until they are."""
        await self._say("connect " + address)

    async def gone(self) -> None:
        """Have all of them leave."""
        await self._say("leave")

    async def _say(self, text: str) -> None:
        for client in self.clients:
            assert client.stdin  # noqa: S101 - it has pipes
            client.stdin.write(f"{text}\n".encode())
        for client in self.clients:
            await _line(client)


async def _line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout  # noqa: S101 - it has pipes
    line = await asyncio.wait_for(process.stdout.readline(), LONG)
    if not line:
        raise RuntimeError("a process of the benchmark ended")
    return line.decode().strip()


@asynccontextmanager
async def _started(*command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Have a process running; its first line is awaited."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        stdin=pipe,
        stdout=pipe,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await _line(process)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def fleet(root: Path, count: int) -> AsyncIterator[tuple[Fleet, psutil.Process, asyncio.subprocess.Process]]:
    """Have a gateway, a centre, a bare server, and so many enrolled agents that are not connected yet."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, hard), hard))
    folder, here = Folder(root / "quell"), Path(__file__)
    deployment.make(folder, PORTS)
    async with AsyncExitStack() as stack:
        services = [
            await stack.enter_async_context(_started("-m", f"quell_{name}", "--config", str(folder.config(name))))
            for name in ("device", "actioncenter")
        ]
        files = [folder.key("agents"), folder.certificate("agents"), folder.certificate("agents-ca"), root / "bare.db"]
        bare = await stack.enter_async_context(
            _started(str(here.with_name("bare_stream.py")), str(BARE), *map(str, files))
        )
        each = count // CLIENTS
        clients = [
            await stack.enter_async_context(_started(str(here), str(folder.root), str(each))) for _ in range(CLIENTS)
        ]
        yield Fleet(folder, clients), psutil.Process(services[0].pid), bare


def _pss(process: psutil.Process) -> float:
    return float(process.memory_full_info().pss)


async def idle(count: int) -> tuple[float, float, float]:
    """Return KiB a stream at the gateway, KiB a stream at the bare server, and the gateway's MB with all of them."""
    with tempfile.TemporaryDirectory() as root:
        async with fleet(Path(root), count) as (agents, gateway, bare):
            grown, whole = await _grown(agents, PORTS.at("agents"), gateway)
            limit, _ = await _grown(agents, f"127.0.0.1:{BARE}", psutil.Process(bare.pid))
            return grown / count / 1024, limit / count / 1024, whole / 1e6


async def _grown(agents: Fleet, address: str, server: psutil.Process) -> tuple[float, float]:
    before = _pss(server)
    await agents.connected(address)
    await asyncio.sleep(5)
    after = _pss(server)
    await agents.gone()
    return after - before, after


async def fan_out(count: int) -> tuple[float, float]:
    """Return seconds from the approval of so many isolations to the last receipt, and those of the bare stream."""
    with tempfile.TemporaryDirectory() as root:
        async with fleet(Path(root), count) as (agents, _, bare):
            await agents.connected(PORTS.at("agents"))
            ours = await _approved(agents.folder, count)
            await agents.gone()
            await agents.connected(f"127.0.0.1:{BARE}")
            assert bare.stdin  # noqa: S101 - it has pipes
            bare.stdin.write(b"go\n")
            return ours, float(await _line(bare))


async def _approved(folder: Folder, count: int) -> float:
    config = folder.config("client")
    async with Connection.of(config, "ann") as ann, Connection.of(config, "bob") as bob:
        names = await _devices(ann, count)
        actions = ann.stub("actioncenter", action_service_pb2_grpc.ActionServiceStub)
        asked = await _many([_asking(actions.CreateAction, name) for name in names])
        votes = bob.stub("actioncenter", action_service_pb2_grpc.ActionServiceStub)
        begin = time.perf_counter()
        for at in range(0, count, VOTES):
            await votes.BatchDecideActions(_yes(asked[at : at + VOTES]), timeout=SOON)
        done = action_service_pb2.ListActionsRequest(filter="state = SUCCEEDED", page_size=1)
        while (await actions.ListActions(done, timeout=SOON)).total_size < count:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.01)
        return time.perf_counter() - begin


def _yes(seen: Sequence[action_pb2.Action]) -> action_service_pb2.BatchDecideActionsRequest:
    return action_service_pb2.BatchDecideActionsRequest(
        vote_id=str(uuid.uuid4()),
        answer=action_pb2.ANSWER_APPROVE,
        comment="benchmark",
        actions=action_service_pb2.SeenActions(
            actions=[action_service_pb2.SeenAction(name=each.name, etag=each.etag) for each in seen]
        ),
    )


async def _asking(
    create: Callable[..., Awaitable[action_service_pb2.CreateActionResponse]], name: str
) -> action_pb2.Action:
    order = device_pb2.IsolateDevice(device=name, mode=device_pb2.ISOLATION_MODE_FULL)
    request = action_service_pb2.CreateActionRequest(
        action_id=str(uuid.uuid4()), remediation=remediation_pb2.Remediation(isolate_device=order), comment="benchmark"
    )
    while True:
        try:
            return (await create(request, timeout=SOON)).action
        except grpc.aio.AioRpcError as error:
            # The centre hears of a new device as soon as the gateway has written it down.
            if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
                raise
        await asyncio.sleep(0.2)


async def _devices(connection: Connection, count: int) -> list[str]:
    stub = connection.stub("device", fleet_service_pb2_grpc.FleetServiceStub)
    request = fleet_service_pb2.ListDevicesRequest(filter="state = CONNECTED", page_size=1000)
    names: list[str] = []
    while len(names) < count:
        answer = await stub.ListDevices(request, timeout=SOON)
        names += [each.name for each in answer.devices]
        request.page_token = answer.next_page_token
        if not answer.next_page_token and len(names) < count:
            names.clear()
            await asyncio.sleep(0.1)
    return names


async def _many(calls: Sequence[Awaitable[action_pb2.Action]]) -> list[action_pb2.Action]:
    room = asyncio.Semaphore(50)

    async def one(call: Awaitable[action_pb2.Action]) -> action_pb2.Action:
        async with room:
            return await call

    return await asyncio.gather(*map(one, calls))


async def client(root: Path, count: int) -> None:
    """Be so many agents: enrol, then connect and leave as stdin says."""
    folder = Folder(root)
    agents = [SimulatedAgent(number) for number in range(count)]
    async with Connection.of(folder.config("client"), "carol") as carol:
        fleet_stub = carol.stub("device", fleet_service_pb2_grpc.FleetServiceStub)
        request = fleet_service_pb2.CreateEnrolmentTokenRequest()
        request.valid.seconds = 3600
        tokens = [(await fleet_stub.CreateEnrolmentToken(request, timeout=SOON)).token for _ in agents]
    ca = await asyncio.to_thread(folder.certificate("deployment-ca").read_bytes)
    await enrolled(agents, tokens, ca, PORTS.at("enrolment"))
    print("enrolled", flush=True)
    stack = AsyncExitStack()
    while line := (await asyncio.to_thread(sys.stdin.readline)).split():
        if line[0] == "connect":
            before = [agent.streams for agent in agents]
            for agent in agents:
                agent.first_wait = random.uniform(0, count / 200)  # noqa: S311 - not all in one moment
            await stack.enter_async_context(living(agents, line[1]))
            while any(agent.streams == old for agent, old in zip(agents, before, strict=True)):  # noqa: ASYNC110 - few looks
                await asyncio.sleep(0.1)
        else:
            await stack.aclose()
        print(json.dumps(sum(agent.streams for agent in agents)), flush=True)


if __name__ == "__main__":
    asyncio.run(client(Path(sys.argv[1]), int(sys.argv[2])))
