"""A stand-in for an Action Center that speaks the real protocol to a device service."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
from google.protobuf.message import Message
from quell.executor.v1 import executor_service_pb2, executor_service_pb2_grpc, target_report_pb2
from quell.remediation.v1 import remediation_pb2
from quell.warrant.v1 import freeze_pb2, key_set_pb2, receipt_pb2, seal_pb2, warrant_pb2

from device_house import ROOT, Agent, House, action_name, sealed
from quell_runtime import client
from quell_runtime.sealing import SealKey

CENTER = SealKey(bytes(range(32, 64)))


@dataclass
class Center:
    """An Action Center's end of one Work stream. It stores what comes only while `stores`."""

    house: House
    call: "grpc.aio.StreamStreamCall[executor_service_pb2.WorkRequest, executor_service_pb2.WorkResponse]"
    stores: bool = True
    received: list[executor_service_pb2.WorkResponse] = field(default_factory=list)
    receipts: dict[str, str] = field(default_factory=dict)
    targets: list[target_report_pb2.TargetReport] = field(default_factory=list)
    accepted: set[str] = field(default_factory=set)
    code: grpc.StatusCode | None = None
    reason: str = ""
    one_writer: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self) -> None:
        """Note and acknowledge what comes."""
        try:
            async for response in self.call:
                self.received.append(response)
                self.accepted.update(response.accepted.actions)
                self.targets.extend(response.targets.reports)
                found = [receipt_pb2.Receipt.FromString(each.body) for each in response.receipts.receipts]
                self.receipts.update({each.id: each.action for each in found})
                ids = [*(each.id for each in found), *(each.id for each in response.targets.reports)]
                ids += [chunk.id for chunk in response.items.chunks]
                ids += [access.id for access in response.accesses.accesses]
                if ids and self.stores:
                    await self.down(stored=executor_service_pb2.Stored(ids=ids))
        except grpc.aio.AioRpcError as error:
            self.code, self.reason = error.code(), client.problem(error).reason
        except (asyncio.CancelledError, asyncio.InvalidStateError):
            self.code = grpc.StatusCode.CANCELLED

    async def down(self, **message: Message) -> None:
        """Send one message, one at a time, as gRPC wants it."""
        async with self.one_writer:
            await self.call.write(executor_service_pb2.WorkRequest(**message))  # type: ignore[arg-type]

    async def order(self, *agents: Agent, remediation: remediation_pb2.Remediation | None = None) -> list[str]:
        """Send a warrant to each agent in one message, and return the actions."""
        actions = [action_name() for _ in agents]
        warrants = [
            sealed(
                CENTER,
                warrant_pb2.Warrant(action=action, target_key=agent.key.key_id, sequence=1, remediation=remediation),
            )
            for action, agent in zip(actions, agents, strict=True)
        ]
        await self.down(warrants=executor_service_pb2.Warrants(warrants=warrants))
        return actions

    def last(self, agent: Agent) -> target_report_pb2.TargetState.ValueType:
        """Return the newest report of a device; 0 if there is none."""
        none = target_report_pb2.TARGET_STATE_UNSPECIFIED
        return next((each.state for each in reversed(self.targets) if each.target == agent.name), none)


@asynccontextmanager
async def center(house: House, *, start: int = 1, stores: bool = True, deployment: str = "") -> AsyncIterator[Center]:
    """Dial as the Action Center and say hello."""
    async with house.deployment.channel(house.service.api.port, "actioncenter", "device") as channel:
        found = Center(house, executor_service_pb2_grpc.ExecutorServiceStub(channel).Work(), stores)
        task = asyncio.create_task(found.run())
        hello = executor_service_pb2.CenterHello(
            versions=[1], deployment=deployment or house.deployment.name, start=start
        )
        await found.down(hello=hello)
        try:
            yield found
        finally:
            found.call.cancel()
            await asyncio.wait([task])


def key_set(version: int, root: SealKey = ROOT) -> seal_pb2.Sealed:
    """Return a sealed key set."""
    key = key_set_pb2.Key(key_id=CENTER.key_id, public_key=CENTER.public, use=key_set_pb2.KEY_USE_SEAL)
    return sealed(root, key_set_pb2.KeySet(deployment="example", version=version, keys=[key]))


def freeze(epoch: int) -> seal_pb2.Sealed:
    """Return a sealed freeze."""
    return sealed(CENTER, freeze_pb2.Freeze(deployment="example", epoch=epoch, frozen=True))
