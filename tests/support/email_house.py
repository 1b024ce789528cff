"""The email service as a process of its own over a mail server's tree, and a centre that dials it."""

import asyncio
import contextlib
import json
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from quell.executor.v1 import executor_service_pb2, executor_service_pb2_grpc, plan_pb2
from quell.remediation.v1 import remediation_pb2
from quell.warrant.v1 import receipt_pb2, warrant_pb2

from deployment import Deployment
from house import free_ports
from kit_house import DEPLOYMENT, IDENTITY, ROOT, Center, FakeClock, key_set, sealed
from mail_tree import MailTree
from quell_runtime import pki
from quell_runtime.kinds import is_cluster
from quell_runtime.seams import SystemClock, stamp

LINK_KEY = b"0123456789abcdef0123456789abcdef"
Call: TypeAlias = "grpc.aio.StreamStreamCall[executor_service_pb2.WorkRequest, executor_service_pb2.WorkResponse]"


class RealTime(FakeClock):
    """The machine's own time, when the test began."""

    def __init__(self) -> None:
        """Take it."""
        self.wall = SystemClock().now()


@dataclass
class Conversation:
    """One stream between a centre and the service."""

    center: Center
    call: Call
    stored: list[str] = field(default_factory=list)

    async def say(self, **message: object) -> None:
        """Send something down."""
        await self.call.write(executor_service_pb2.WorkRequest(**message))  # type: ignore[arg-type]

    async def until(self, so: Callable[[], object]) -> None:
        """Listen until something is so."""
        async with asyncio.timeout(30):
            while not so():
                message = await self.call.read()
                assert isinstance(message, executor_service_pb2.WorkResponse)
                self.center.hear(message)

    async def seen(
        self, remediation: remediation_pb2.Remediation, beyond: Sequence[bytes] = ()
    ) -> plan_pb2.PlanSummary:
        """Ask what would be done; a cluster's list is kept as a snapshot."""
        keep = stamp(self.center.clock.now().replace(year=self.center.clock.now().year + 1))
        query = plan_pb2.PlanQuery(id=str(uuid.uuid4()), remediation=remediation, keep_time=keep, beyond=beyond)
        await self.say(plan=query)
        await self.until(lambda: any(plan.id == query.id and plan.WhichOneof("end") for plan in self.center.plans))
        end = next(plan for plan in self.center.plans if plan.id == query.id and plan.WhichOneof("end"))
        assert end.HasField("summary"), end.failure
        return end.summary

    async def order(self, remediation: remediation_pb2.Remediation, undo_of: str = "") -> warrant_pb2.Warrant:
        """Send a warrant, for what is seen now if it is a cluster."""
        fields: dict[str, object] = {"undo_of": undo_of}
        if is_cluster(remediation) and not undo_of:
            summary = await self.seen(remediation)
            fields |= {"snapshot_digest": summary.snapshot_digest, "snapshot_count": summary.item_count}
        warrant = self.center.warrant(remediation, target_key=b"", executor_key=IDENTITY.key_id, **fields)
        await self.say(warrants=executor_service_pb2.Warrants(warrants=[sealed(warrant)]))
        return warrant

    async def noted(self) -> executor_service_pb2.Access:
        """Wait until the service tells of an access, and have it stored, as the audit log does."""

        def untold() -> list[executor_service_pb2.Access]:
            told = [access for message in self.center.messages for access in message.accesses.accesses]
            return [access for access in told if access.id not in self.stored]

        await self.until(untold)
        (access,) = untold()
        self.stored.append(access.id)
        await self.say(stored=executor_service_pb2.Stored(ids=[access.id]))
        return access

    async def receipt(self, warrant: warrant_pb2.Warrant) -> receipt_pb2.Receipt:
        """Wait for the receipt of a warrant."""
        await self.until(lambda: self.center.of(warrant.action))
        return self.center.of(warrant.action)[0]

    async def carry_out(self, remediation: remediation_pb2.Remediation, undo_of: str = "") -> receipt_pb2.Receipt:
        """Send a warrant, and return its receipt."""
        return await self.receipt(await self.order(remediation, undo_of))


class EmailHouse:
    """A folder with a configuration; the service in it can be started and killed."""

    def __init__(self, deployment: Deployment, tree: MailTree, folder: Path) -> None:
        """Write its files."""
        self.deployment = deployment
        self.tree = tree
        self.center = Center(RealTime())
        self.port = free_ports(2)
        self.click_port = self.port + 1
        identity = Ed25519PrivateKey.from_private_bytes(bytes([3]) * 32)
        pki.save_private(folder / "identity.pem", pki.key_pem(identity))
        for name in ("link", "vault"):
            (folder / f"{name}.key").write_bytes(LINK_KEY)
        api = deployment.credentials("email")
        top = {
            "deployment": DEPLOYMENT,
            "data": folder / "data",
            "people": deployment.people,
            "identity_key": folder / "identity.pem",
            "root_key": ROOT.public.hex(),
            "maildirs": tree.pattern,
            "link_key": folder / "link.key",
            "vault_key": folder / "vault.key",
        }
        tables: dict[str, dict[str, object]] = {
            "api": {
                "listen": f"127.0.0.1:{self.port}",
                "certificate": api.certificate,
                "key": api.key,
                "client_ca": api.ca,
            },
            "click": {"listen": f"127.0.0.1:{self.click_port}"},
        }
        lines = [f"{key} = {json.dumps(str(value))}" for key, value in top.items()]
        lines.append("drain_s = 0.1")
        for name, table in tables.items():
            lines += [f"[{name}]", *(f"{key} = {json.dumps(str(value))}" for key, value in table.items())]
        self.config = folder / "email.toml"
        self.config.write_text("\n".join(lines))

    async def start(self) -> None:
        """Start it, and wait until it is ready."""
        self.process = await self.spawn()
        assert self.process.stdout
        assert await asyncio.wait_for(self.process.stdout.readline(), 60) == b"ready\n"

    async def spawn(self) -> asyncio.subprocess.Process:
        """Start it."""
        pipe = asyncio.subprocess.PIPE
        command = [sys.executable, "-m", "quell_email", "--config", str(self.config)]
        return await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)

    async def kill(self) -> None:
        """Kill it, as a power cut would."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.communicate()

    def channel(self, who: str) -> grpc.aio.Channel:
        """Dial it as somebody."""
        return self.deployment.channel(self.port, who, "email")

    @contextlib.asynccontextmanager
    async def conversation(self) -> AsyncIterator[Conversation]:
        """Dial it as the centre does; what was heard before is forgotten."""
        self.center.receipts.clear()
        async with self.channel("actioncenter") as channel:
            call = executor_service_pb2_grpc.ExecutorServiceStub(channel).Work()
            found = Conversation(self.center, call)
            hello = executor_service_pb2.CenterHello(versions=[1], deployment=DEPLOYMENT, start=1)
            await found.say(hello=hello)
            late = self.center.clock.now().replace(year=self.center.clock.now().year + 1)
            await found.say(key_set=key_set(not_after_time=stamp(late)))
            await found.until(lambda: self.center.hellos)
            yield found
            call.cancel()
