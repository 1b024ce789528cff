"""Cut the device off its network but for the channel to us and what the order leaves open; undo opens it again.

How it is done stands in `quell_agent.isolation`: tables of our own, in one transaction; nobody else's rule is touched.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from quell.remediation.v1 import device_pb2, failure_pb2, item_pb2, remediation_pb2

from quell_agent.isolation import openings
from quell_agent.isolation.device import Isolation, Sight
from quell_agent.isolation.state import Saved
from quell_agent.isolation.watch import Watch
from quell_executor.effect import Finding, Mark, Plan, PlannedItem, Progress, RefusedError

KEY = "device.network"
ITEM = item_pb2.Item(device=item_pb2.DeviceItem(aspect="network"))
LOOKS_EVERY = 3.0
"""How often, in seconds, is looked for what the kernel does not tell of: other namespaces, users, cgroups, gateways."""
MESSAGES = {
    "RULES_DIFFER": "the rules in the kernel are not those of this isolation",
    "NOT_AT_BOOT": "the device would not be isolated after a reboot",
    "STILL_GETS_OUT": "a datagram still left the device",
    "STILL_ISOLATED": "rules of an isolation are still there",
    "OTHERS_RULES": "rules that are not ours stand in its tables, which a release would delete",
}
T = TypeVar("T")


class IsolateDevice:
    """The effect. What others take away of it is made again; taken back by itself if it cuts us off."""

    dead_man = True

    def __init__(self, isolation: Isolation) -> None:
        """Isolate this device."""
        self._isolation = isolation

    async def plan(self, order: device_pb2.IsolateDevice, within: Sequence[item_pb2.Item] | None) -> Plan:  # noqa: ARG002 - a device is one item
        """Note what is ordered, and how the device is now.

        Raises:
            RefusedError: The channel to us is not known, or an exclusion names what this device does not have.

        """
        if not self._isolation.control().endpoints:
            raise RefusedError("NO_CONTROL_CHANNEL", "no address of the gateway is known: it could not be released")
        openings.check(order)
        before = _encode(order, self._isolation.state.saved())
        return Plan((PlannedItem(KEY, ITEM, before),), frozenset({KEY}))

    async def plan_revert(self, plan: Plan) -> Plan:
        """Plan to make it as it was: not isolated, or as an isolation before left it."""
        return replace(plan, reverts=True, notes=())

    async def apply(self, plan: Plan, progress: Progress) -> None:
        """Make it so, at once."""
        for item in plan.items:
            wanted, was = _decode(item)
            progress.report("opening the network" if plan.reverts else "closing the network")
            await _finished(lambda: self._apply(plan, wanted, was))  # noqa: B023 - awaited at once

    def _apply(self, plan: Plan, wanted: device_pb2.IsolateDevice, was: Saved | None) -> None:
        if not plan.reverts:
            self._isolation.make(Saved(plan.action, wanted))
        elif not self._isolation.look(was.order if was else None).added:
            self._isolation.make(was)

    async def probe(self, plan: Plan) -> Sequence[Finding]:
        """Compare the kernel's rules, and the file for the next boot, with what is planned; and try to get out."""
        return [await _finished(lambda: self._probe(plan, *_decode(item))) for item in plan.items]  # noqa: B023 - awaited at once

    def _probe(self, plan: Plan, wanted: device_pb2.IsolateDevice, was: Saved | None) -> Finding:
        before = was.order if was else None
        sight = self._isolation.look(before if plan.reverts else wanted)
        if sight.so:
            return Finding(item_pb2.ITEM_STATE_DONE)
        if plan.reverts:
            if sight.added:
                return _finding(item_pb2.ITEM_STATE_CONFLICT, "OTHERS_RULES", sight)
            return Finding(item_pb2.ITEM_STATE_PLANNED)
        if self._isolation.look(before).so:
            return Finding(item_pb2.ITEM_STATE_PLANNED)
        return _finding(item_pb2.ITEM_STATE_FAILED, sight.why, sight)

    async def moved(self, plan: Plan) -> None:
        """Wait until it is not as planned any more: rules changed, a device or a namespace came, a gateway moved."""
        with Watch() as watch:
            await _finished(self._isolation.hold)
            while all(found.state == item_pb2.ITEM_STATE_DONE for found in await self.probe(plan)):
                await watch.wait(LOOKS_EVERY)

    async def marks(self) -> Sequence[Mark]:
        """Return whose isolation is in force, by the file that makes it so at boot."""
        saved = await _finished(self._isolation.state.saved)
        if saved is None:
            return []
        remediation = remediation_pb2.Remediation(isolate_device=saved.order)
        return [Mark(saved.action, remediation, PlannedItem(KEY, ITEM, _encode(saved.order, None)))]


def _encode(order: device_pb2.IsolateDevice, was: Saved | None) -> bytes:
    return json.dumps({"wanted": Saved("", order).text, "was": was.text if was else None}).encode()


def _decode(item: PlannedItem) -> tuple[device_pb2.IsolateDevice, Saved | None]:
    held = json.loads(item.before)
    return Saved.parse(held["wanted"]).order, Saved.parse(held["was"]) if held["was"] else None


def _finding(state: item_pb2.ItemState.ValueType, reason: str, sight: Sight) -> Finding:
    message = MESSAGES[reason] + (f": {sight.added}" if sight.added else "")
    return Finding(state, failure_pb2.Failure(reason=reason, message=message))


async def _finished(work: Callable[[], T]) -> T:
    """Do work in a thread, which can't be cut off: it is finished before a cancellation is let through."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.gather(running, return_exceptions=True)
        raise
