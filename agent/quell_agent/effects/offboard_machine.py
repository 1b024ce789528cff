"""Leave the deployment's care: lift what stands if told to, note it down, and go once the receipt is stored."""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from quell.remediation.v1 import device_pb2, failure_pb2, item_pb2

from quell_executor.effect import Finding, Plan, PlannedItem, Progress, RefusedError

AGENT = "device.agent"
LIFTED = ("isolate_device", "restrict_code_execution")
"""What may not outlive the agent's care: nobody could take it back any more."""
NOTE = "what is in quarantine stays under lock on the machine; the recovery key alone opens it"
STANDS = failure_pb2.Failure(
    reason="EFFECTS_IN_FORCE", message="it is isolated or restricted: release it first, or have that done"
)


class Standing(Protocol):
    """What is in force on this machine of the kinds that are lifted."""

    async def standing(self) -> Sequence[object]:
        """Return it."""

    async def lift(self) -> None:
        """Take it back, as far as that goes."""


class OffboardMachine:
    """The effect. `left` is the file that says by which action the machine left; whoever runs the agent looks at it."""

    def __init__(self, left: Path, stands: Standing) -> None:
        """Note the departure in a file."""
        self._left = left
        self._stands = stands

    async def plan(self, order: device_pb2.OffboardMachine, within: Sequence[item_pb2.Item] | None) -> Plan:  # noqa: ARG002 - it has one target
        """Plan to leave.

        Raises:
            RefusedError: It is isolated or restricted, and nobody said that this is to be lifted.

        """
        if not order.release_first and await self._stands.standing():
            raise RefusedError(STANDS.reason, STANDS.message)
        item = item_pb2.Item(device=item_pb2.DeviceItem(aspect="agent"))
        return Plan((PlannedItem(AGENT, item, b""),), frozenset({AGENT}), notes=(NOTE,))

    async def plan_revert(self, plan: Plan) -> Plan:
        """Plan to stay: only for one that a newer order overtakes before anybody was told that it left."""
        return replace(plan, reverts=True, notes=())

    async def apply(self, plan: Plan, progress: Progress) -> None:  # noqa: ARG002 - it is quick
        """Lift what stands, then note it down."""
        if plan.reverts:
            self._left.unlink(missing_ok=True)
            return
        await self._stands.lift()
        if not await self._stands.standing():
            part = self._left.with_suffix(".part")
            part.write_text(plan.action, encoding="ascii")
            part.replace(self._left)

    async def probe(self, plan: Plan) -> Sequence[Finding]:
        """Look whether it is noted, and whether anything stands."""
        noted = ""
        with contextlib.suppress(FileNotFoundError):
            noted = self._left.read_text(encoding="ascii")
        if plan.reverts:
            return [Finding(item_pb2.ITEM_STATE_PLANNED if noted == plan.action else item_pb2.ITEM_STATE_DONE)]
        if noted:
            return [Finding(item_pb2.ITEM_STATE_DONE)]
        return [Finding(item_pb2.ITEM_STATE_PLANNED)]
