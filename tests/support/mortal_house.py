"""A whole deployment whose processes can be killed at named points, and what people and detectors ask of it then."""

import asyncio
import contextlib
import hashlib
import itertools
import json
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import grpc
from google.protobuf.message import Message
from quell.actioncenter.v1 import (
    action_pb2,
    action_service_pb2,
    action_service_pb2_grpc,
    audit_service_pb2,
    audit_service_pb2_grpc,
)
from quell.device.v1 import fleet_service_pb2, fleet_service_pb2_grpc
from quell.email.v1 import url_service_pb2, url_service_pb2_grpc
from quell.remediation.v1 import remediation_pb2

from eventually import eventually
from house import free_ports
from quell_cli import deployment
from quell_cli.connection import Connection
from quell_cli.deployment import Folder, Ports
from quell_runtime import client

MORTAL = Path(__file__).with_name("mortal.py")
PROCESSES = ("email", "device", "actioncenter", "agent")
NEEDS_PEOPLE = (action_pb2.ACTION_STATE_PENDING_APPROVAL, action_pb2.ACTION_STATE_HELD)
ENDED = action_pb2.ACTION_STATE_SUCCEEDED
WITHIN = 40.0
AWAY = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DEADLINE_EXCEEDED,
)
"""What a caller hears whose centre died: the same request is sent again."""
A_co = TypeVar("A_co", covariant=True)


class Call(Protocol[A_co]):
    """A unary RPC of a stub."""

    def __call__(self, request: Any, *, timeout: float) -> Awaitable[A_co]:  # noqa: ANN401 - each has its own
        """Call it."""


@dataclass
class Mortal:
    """One process; `room`: its data lie on a disk of its own of so many MiB, which goes with it."""

    name: str
    folder: Folder
    program: tuple[str, ...] = ()
    room: int = 0
    process: "subprocess.Popen[bytes]" = field(init=False)

    @property
    def data(self) -> Path:
        """Where its data are, as we reach them."""
        return Path(f"/proc/{self.process.pid}/root") / str(self.folder.root / self.name).lstrip("/")

    def start(self) -> None:
        """Start it and wait until it is ready."""
        program = self.program or (str(MORTAL), f"quell_{self.name}")
        command = [sys.executable, *program, "--config", str(self.folder.config(self.name))]
        if self.room:
            mount = f'mount -t tmpfs -o size={self.room}m tmpfs "$0" && exec "$@"'
            command = ["unshare", "-m", "sh", "-c", mount, str(self.folder.root / self.name), *command]
        with self.folder.log(self.name).open("ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)  # noqa: S603 - ours
        assert self.process.stdout
        assert self.process.stdout.readline() == b"ready\n", self.folder.log(self.name).read_text()[-3000:]

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it."""
        self.process.send_signal(number)
        self.died()

    def died(self) -> int:
        """Wait for its end and return its code."""
        assert self.process.stdout
        code = self.process.wait(WITHIN)
        self.process.stdout.close()
        return code


@dataclass
class MortalHouse:
    """The deployment."""

    folder: Folder
    processes: dict[str, Mortal]
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def doom(self, name: str, point: str, hit: int = 1, victim: str = "") -> None:
        """Have a process, or another one in its place, killed at a point."""
        pid = self.processes[victim].process.pid if victim else 0
        fate = self.folder.config(name).with_suffix(".fate")
        fresh = fate.with_suffix(".new")
        fresh.write_text(json.dumps({"point": point, "hit": hit, "victim": pid, "number": next(self._numbers)}))
        fresh.rename(fate)

    async def revived(self, name: str) -> None:
        """Wait until a process was killed, and start it again."""
        mortal = self.processes[name]
        assert await asyncio.to_thread(mortal.died) == -signal.SIGKILL
        await asyncio.to_thread(mortal.start)

    @contextlib.asynccontextmanager
    async def asking(self) -> AsyncIterator["Asking"]:
        """Ask things of it."""
        async with contextlib.AsyncExitStack() as stack:
            yield Asking(
                *[
                    await stack.enter_async_context(Connection.of(self.folder.config("client"), person))
                    for person in ("ann", "bob", "carol")
                ]
            )


@contextlib.contextmanager
def mortal_house(root: Path, *others: Mortal) -> Iterator[MortalHouse]:
    """Have a deployment running whose agent is enrolled; or these processes of one that is made already."""
    folder = Folder(root)
    if not others:
        deployment.make(folder, Ports(free_ports()))
    house = MortalHouse(folder, {each.name: each for each in others or (Mortal(name, folder) for name in PROCESSES)})
    try:
        for name in house.processes:
            if name == "agent":
                asyncio.run(_give_token(house))
            house.processes[name].start()
        yield house
    finally:
        for mortal in reversed(house.processes.values()):
            if hasattr(mortal, "process") and mortal.process.returncode is None:
                mortal.end()


async def _give_token(house: MortalHouse) -> None:
    async with house.asking() as asking:
        (house.folder.root / "agent" / "token").write_text(await asking.token())


class Asking:
    """What ann asks for, bob approves, and carol administers. Whatever is asked is asked again until it is answered."""

    def __init__(self, ann: Connection, bob: Connection, carol: Connection) -> None:
        """Keep who asks."""
        self.ann = ann.stub("actioncenter", action_service_pb2_grpc.ActionServiceStub)
        self.bob = bob.stub("actioncenter", action_service_pb2_grpc.ActionServiceStub)
        self.urls = ann.stub("email", url_service_pb2_grpc.UrlServiceStub)
        self.audit = carol.stub("actioncenter", audit_service_pb2_grpc.AuditServiceStub)
        self.fleet = carol.stub("device", fleet_service_pb2_grpc.FleetServiceStub)

    async def insist(self, call: Call[A_co], request: Message) -> A_co:
        """Send the same request until it is answered."""
        async with asyncio.timeout(WITHIN):
            while True:
                try:
                    return await call(request, timeout=5)
                except grpc.aio.AioRpcError as error:
                    if error.code() not in AWAY:
                        raise
                await asyncio.sleep(0.05)

    async def token(self) -> str:
        """Return an enrolment token."""
        request = fleet_service_pb2.CreateEnrolmentTokenRequest(tags=["local"])
        request.valid.seconds = 600
        return (await self.insist(self.fleet.CreateEnrolmentToken, request)).token

    async def device(self) -> str:
        """Return the name of the one device."""
        (device,) = (await self.insist(self.fleet.ListDevices, fleet_service_pb2.ListDevicesRequest())).devices
        return device.name

    async def created(self, remediation: remediation_pb2.Remediation) -> action_pb2.Action:
        """Have ann ask for something."""
        asked = action_service_pb2.CreateActionRequest(
            action_id=str(uuid.uuid4()), remediation=remediation, comment="a bad day"
        )
        async with asyncio.timeout(WITHIN):
            while True:
                try:
                    return (await self.insist(self.ann.CreateAction, asked)).action
                except grpc.aio.AioRpcError as error:
                    # After a start, the executor says what it offers as soon as it is reached.
                    if client.problem(error).reason != "EXECUTOR_LACKS_KIND":
                        raise
                await asyncio.sleep(0.05)

    async def vote(self, action: action_pb2.Action) -> action_service_pb2.ApproveActionRequest:
        """Have bob look at what would happen, and return his vote for it."""
        request = action_service_pb2.PreviewActionRequest(name=action.name)
        preview = await self.insist(self.bob.PreviewAction, request)
        digest = hashlib.sha256(preview.preview).hexdigest()
        vote_id = str(uuid.uuid4())
        return action_service_pb2.ApproveActionRequest(
            name=action.name, vote_id=vote_id, comment="a bad day", preview_digest=digest
        )

    async def approved(self, vote: action_service_pb2.ApproveActionRequest) -> None:
        """Have bob vote; he sends the same vote until he is heard."""
        await self.insist(self.bob.ApproveAction, vote)

    async def undone(self, name: str, doom: Callable[[], None]) -> str:
        """Have ann undo an action, and bob approve where that is needed, with doom before the last word."""
        request = action_service_pb2.UndoActionRequest(name=name, undo_id=str(uuid.uuid4()), comment="a bad day")
        if not await self._asks_people(name):
            doom()
        undo = (await self.insist(self.ann.UndoAction, request)).action
        if undo.state in NEEDS_PEOPLE:
            vote = await self.vote(undo)
            doom()
            await self.approved(vote)
        return undo.name

    async def _asks_people(self, name: str) -> bool:
        return (await self.get(name)).remediation.HasField("stop_and_quarantine")

    async def get(self, name: str) -> action_pb2.Action:
        """Return an action as it is."""
        return (await self.insist(self.ann.GetAction, action_service_pb2.GetActionRequest(name=name))).action

    async def ended(self, name: str) -> action_pb2.Action:
        """Return an action once it has ended."""
        return await eventually(lambda: self.get(name), lambda action: action.state >= ENDED, WITHIN)

    async def is_blocked(self, url: str) -> bool:
        """Ask of a URL as whoever follows a link does."""
        answer = await self.insist(self.urls.CheckUrl, url_service_pb2.CheckUrlRequest(url=url))
        return answer.check.answer == url_service_pb2.URL_ANSWER_BLOCKED

    async def events(self, name: str) -> list[str]:
        """Return what happened to an action."""
        request = action_service_pb2.ListActionEventsRequest(name=name)
        return [event.event for event in (await self.insist(self.ann.ListActionEvents, request)).events]

    async def chain_holds(self) -> bool:
        """Tell whether the audit log is what was written."""
        answer = await self.insist(self.audit.VerifyAudit, audit_service_pb2.VerifyAuditRequest())
        return answer.checked > 0 and not answer.broken
