"""A small network that a device can be cut off from, and others can meddle with: `isolate_device` and its release."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from google.protobuf.message import Message
from quell.remediation.v1 import device_pb2, item_pb2, remediation_pb2

from kit_world import DEVICE
from quell_executor.effect import Effect, Finding, Mark, Owned, Plan, PlannedItem, Progress, Release
from quell_executor.parts import because

KEY = "device.network"
ITEM = item_pb2.Item(device=item_pb2.DeviceItem(aspect="network"))
OURS = "ours:"
NO_MARK = ("", "", "")


@dataclass
class Network:
    """The rules, and a mark of who made them, in place of what, and what they are to be.

    A `stubborn` network takes no change; `gate` lets changes through; `applied` are the actions that isolated.
    """

    rules: str = "open"
    mark: tuple[str, str, str] = NO_MARK
    stubborn: bool = False
    blind: bool = False
    probes: int = 0
    applied: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    stirred: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Open the gate."""
        self.gate.set()

    def meddle(self, rules: str = "open") -> None:
        """Change the rules, as others would."""
        self.rules = rules
        self.stirred.set()

    def offers(self) -> dict[str, Effect[Any] | Release[Any]]:
        """Return what an executor over this network offers."""
        return {"isolate_device": Isolate(self), "release_device_from_isolation": Join()}


class Isolate:
    """Puts rules of ours in place of those that were there."""

    dead_man = True

    def __init__(self, network: Network) -> None:
        """Work on a network."""
        self.network = network

    async def plan(self, order: device_pb2.IsolateDevice, _within: Sequence[item_pb2.Item] | None) -> Plan:
        """Find the rules, as they were before us."""
        before = self.network.mark[1] if self.network.mark[0] else self.network.rules
        remotes = ",".join(remote for exclusion in order.exclusions for remote in exclusion.remotes)
        wanted = json.dumps([before, OURS + remotes]).encode()
        return Plan((PlannedItem(KEY, ITEM, wanted),), frozenset({KEY}))

    async def apply(self, plan: Plan, _progress: Progress) -> None:
        """Change them."""
        await self.network.gate.wait()
        for item in () if self.network.stubborn else plan.items:
            before, after = json.loads(item.before)
            self.network.rules = before if plan.reverts else after
            self.network.mark = NO_MARK if plan.reverts else (plan.action, before, after)
            self.network.applied += [] if plan.reverts else [plan.action]

    async def probe(self, plan: Plan) -> Sequence[Finding]:
        """Look."""
        self.network.probes += 1
        if self.network.blind:
            raise OSError("it can't be told")
        return [self._look(item, reverts=plan.reverts) for item in plan.items]

    def _look(self, item: PlannedItem, *, reverts: bool) -> Finding:
        before, after = json.loads(item.before)
        as_wanted = self.network.rules == (before if reverts else after)
        # With the mark left behind it would be taken for isolated still.
        if as_wanted and bool(self.network.mark[0]) is not reverts:
            return Finding(item_pb2.ITEM_STATE_DONE)
        if reverts and not as_wanted and not self.network.rules.startswith(OURS):
            return Finding(item_pb2.ITEM_STATE_CONFLICT, because("CHANGED"))
        return Finding(item_pb2.ITEM_STATE_PLANNED)

    async def plan_revert(self, plan: Plan) -> Plan:
        """Plan to put back."""
        return replace(plan, reverts=True)

    async def moved(self, _plan: Plan) -> None:
        """Wait until somebody stirs."""
        await self.network.stirred.wait()
        self.network.stirred.clear()

    async def marks(self) -> Sequence[Mark]:
        """Read the mark."""
        action, before, after = self.network.mark
        item = PlannedItem(KEY, ITEM, json.dumps([before, after]).encode(), frozenset({KEY}))
        return [Mark(action, isolate(), item)] if action else []


class Join:
    """Ends the isolation."""

    def names(self, _order: Message) -> frozenset[str]:
        """Return what is named."""
        return frozenset({KEY})

    def chooses(self, _order: Message, owned: Owned) -> bool:
        """Choose."""
        return owned.key == KEY


def isolate(*remotes: str, hold: bool = False) -> remediation_pb2.Remediation:
    """Order an isolation, but for some addresses."""
    order = device_pb2.IsolateDevice(device=DEVICE, mode=device_pb2.ISOLATION_MODE_FULL, hold=hold)
    if remotes:
        order.mode = device_pb2.ISOLATION_MODE_SELECTIVE
        order.exclusions.add(remotes=remotes)
    return remediation_pb2.Remediation(isolate_device=order)


def join() -> remediation_pb2.Remediation:
    """Order its end."""
    order = device_pb2.ReleaseDeviceFromIsolation(device=DEVICE)
    return remediation_pb2.Remediation(release_device_from_isolation=order)
