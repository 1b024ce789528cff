"""An isolated device in the network laboratory: the effect, in its own process, and what others see of it."""

import asyncio
import pickle
import secrets
import struct
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from google.protobuf.message import Message
from quell.remediation.v1 import device_pb2, item_pb2

from network_lab import Lab
from quell_agent.effects.isolate_device import IsolateDevice
from quell_executor.effect import Finding, Mark, Plan, Progress, RefusedError

WORKER = Path(__file__).with_name("isolation_worker.py")
LENGTH = struct.Struct(">I")
DEVICE = f"devices/{'a' * 26}"
FULL = device_pb2.IsolateDevice(device=DEVICE, mode=device_pb2.ISOLATION_MODE_FULL)
ACTION = "00000000-0000-4000-8000-000000000001"


def selective(*exclusions: device_pb2.NetworkExclusion) -> device_pb2.IsolateDevice:
    """Return an order that leaves something open."""
    return device_pb2.IsolateDevice(device=DEVICE, mode=device_pb2.ISOLATION_MODE_SELECTIVE, exclusions=exclusions)


class DiedError(Exception):
    """The process of the effect is no more."""


@dataclass
class Agent:
    """The effect in its process; it has the effect's own methods."""

    process: asyncio.subprocess.Process
    dead_man: bool = IsolateDevice.dead_man
    number: int = 0
    waiting: dict[int, "asyncio.Future[tuple[Any, ...]]"] = field(default_factory=dict)
    reading: "asyncio.Task[None] | None" = None

    async def plan(self, order: Message, within: Sequence[item_pb2.Item] | None) -> Plan:
        """Plan."""
        return await self._call("plan", order, within)  # type: ignore[no-any-return]

    async def apply(self, plan: Plan, progress: Progress) -> None:  # noqa: ARG002 - nobody follows
        """Apply."""
        await self._call("apply", plan)

    async def probe(self, plan: Plan) -> Sequence[Finding]:
        """Probe."""
        return await self._call("probe", plan)  # type: ignore[no-any-return]

    async def plan_revert(self, plan: Plan) -> Plan:
        """Plan the way back."""
        return await self._call("plan_revert", plan)  # type: ignore[no-any-return]

    async def moved(self, plan: Plan) -> None:
        """Wait."""
        await self._call("moved", plan)

    async def marks(self) -> Sequence[Mark]:
        """Read the marks."""
        return await self._call("marks")  # type: ignore[no-any-return]

    async def gateways(self, *addresses: str) -> None:
        """Let the channel to us be at other addresses."""
        await self._call("control", *addresses)

    async def die_at(self, point: str) -> None:
        """Let it be killed at a point."""
        await self._call("fate", point)

    async def kill(self) -> None:
        """Kill it."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        if self.reading:
            await self.reading

    async def read(self) -> None:
        """Hand answers to whoever waits for them."""
        assert self.process.stdout is not None
        while head := await self.process.stdout.read(LENGTH.size):
            number, *came = pickle.loads(await self.process.stdout.readexactly(*LENGTH.unpack(head)))  # noqa: S301 - ours
            self.waiting.pop(number).set_result(tuple(came))
        for waiting in self.waiting.values():
            waiting.set_result(("died",))

    async def _call(self, name: str, *arguments: object) -> Any:  # noqa: ANN401 - whatever the effect returns
        assert self.process.stdin is not None
        self.number += 1
        number, answer = self.number, asyncio.get_running_loop().create_future()
        self.waiting[number] = answer
        self._send(number, name, *arguments)
        try:
            what, *came = await asyncio.shield(answer)
        except asyncio.CancelledError:
            self._send(number, "cancel")
            await answer
            raise
        if what == "refused":
            raise RefusedError(came[0])
        if what == "died":
            raise DiedError
        assert what == "done", came
        return came[0]

    def _send(self, *call: object) -> None:
        assert self.process.stdin is not None
        body = pickle.dumps(call)
        self.process.stdin.write(LENGTH.pack(len(body)) + body)


async def started(lab: Lab, data: Path, *, own: bool = True) -> Agent:
    """Start the effect as a process that was just started has it; `own` as the isolation has it."""
    folders = (data, lab.folder / "proc", lab.folder / "netns")
    agent = Agent(await lab.start("device", sys.executable, str(WORKER), *map(str, folders), *(["own"] if own else [])))
    ready = asyncio.get_running_loop().create_future()
    agent.waiting[0] = ready
    agent.reading = asyncio.create_task(agent.read())
    assert await asyncio.wait_for(ready, 20) == ("ready",)
    return agent


@dataclass
class Device:
    """The device of a laboratory, as a test drives it."""

    lab: Lab
    data: Path
    agent: Agent

    async def restart(self, *, own: bool = True) -> None:
        """Kill the agent, if it is not dead, and start it anew."""
        await self.agent.kill()
        self.agent = await started(self.lab, self.data, own=own)

    async def isolate(self, order: device_pb2.IsolateDevice = FULL, action: str = ACTION) -> Plan:
        """Isolate, as the kit does."""
        plan = replace(await self.agent.plan(order, None), action=action)
        await self.agent.apply(plan, _Nobody())
        assert await self.states(plan) == ["DONE"], await self.agent.probe(plan)
        return plan

    async def release(self, plan: Plan) -> None:
        """Take an isolation back."""
        back = await self.agent.plan_revert(plan)
        await self.agent.apply(back, _Nobody())
        assert await self.states(back) == ["DONE"]

    async def states(self, plan: Plan) -> list[str]:
        """Probe."""
        found = await self.agent.probe(plan)
        return [item_pb2.ItemState.Name(each.state).removeprefix("ITEM_STATE_") for each in found]

    async def reasons(self, plan: Plan) -> list[str]:
        """Probe, for the reasons."""
        return [each.failure.reason if each.failure else "" for each in await self.agent.probe(plan)]

    async def leaks(self, way: str) -> bool:
        """Try a way out (`namespace way arguments`), and tell whether anybody else heard of it."""
        token, (namespace, *words) = secrets.token_hex(6), way.split()
        await self.lab.attempt(namespace, token, *words)
        return await self.lab.heard(token) > 0

    async def leaking(self, ways: Iterable[str]) -> list[str]:
        """Try many, and return those that leak."""
        return [way for way in ways if await self.leaks(way)]


class _Nobody:
    """Progress that nobody follows."""

    def report(self, message: str, *, percent: int | None = None) -> None:
        """Say nothing."""
