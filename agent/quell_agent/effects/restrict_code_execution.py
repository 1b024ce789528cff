"""Let only trusted programs start: a guard answers the kernel; undo sends it away, and sets back what was set."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog
from quell.remediation.v1 import device_pb2, failure_pb2, item_pb2, remediation_pb2

from quell_agent.commands import ProgramLateError
from quell_agent.execution import canary, fanotify, memfd, packages
from quell_agent.execution.control import Control, Status
from quell_agent.execution.orders import understood
from quell_agent.execution.policy import PACKAGES, Policy
from quell_agent.execution.record import Before, Record
from quell_executor.effect import Finding, Mark, Plan, PlannedItem, Progress, RefusedError
from quell_runtime.seams import Point, nowhere

log = structlog.get_logger()
EXECUTION = "device.execution"
NOTES = (
    "what runs already goes on, and may load what it has open",
    "packages can't be installed: their scripts are nobody's intact files",
)
MESSAGES = {
    "GUARD_DEAD": "the guardian is there, but no guard answers",
    "NOT_WATCHED": "the kernel does not ask about every local file system",
    "STRANGER_STARTS": "a program that nobody knows starts",
    "TRUSTED_REFUSED": "a program of the system's packages does not start",
    "STILL_REFUSED": "the guard is gone, and something else refuses programs that nobody knows",
    "CANARY_FAILED": "the agent's folder forbids starting anything, so it can't be told",
    "MEMORY_CHANGED": "vm.memfd_noexec was set by somebody else since",
}
PACKAGED = Policy()
LOOK_EVERY = 1.0
LOOKS = 3
"""A file system that was just mounted is watched within a second."""


@dataclass(frozen=True, slots=True)
class House:
    """What the restriction works with.

    `folder` is its own, in the agent's data; file systems at or below `root` are watched; `trusted` is a program that
    packages brought and that ends at once; `base` is the policy that an order adds to.
    """

    folder: Path
    root: str = "/"
    trusted: Path = Path("/usr/bin/true")
    base: Policy = PACKAGED
    point: Point = nowhere


class RestrictCodeExecution:
    """The effect."""

    def __init__(self, house: House) -> None:
        """Work in a house."""
        self._house = house
        self._control = Control(house.folder, house.root, house.point)
        self._record = Record(house.folder)

    async def plan(self, order: device_pb2.RestrictCodeExecution, within: Sequence[item_pb2.Item] | None) -> Plan:  # noqa: ARG002 - it has one target
        """Note what may start, and how it was before."""
        policy = await asyncio.to_thread(understood, order, self._house.base)
        try:
            started = await canary.stranger_starts(self._house.folder, self._house.trusted)
        except (OSError, ProgramLateError):
            raise RefusedError("CANARY_FAILED", MESSAGES["CANARY_FAILED"]) from None
        items = [_planned(EXECUTION, Before(order, policy, started=started))]
        if memfd.is_there():
            items.append(_planned(memfd.KEY, Before(order, policy, memfd=memfd.read())))
        return Plan(tuple(items), frozenset({EXECUTION}), notes=NOTES)

    async def plan_revert(self, plan: Plan) -> Plan:
        """Plan to let everything start again."""
        return replace(plan, reverts=True, notes=())

    async def apply(self, plan: Plan, progress: Progress) -> None:
        """Restrict, or release."""
        for number, item in enumerate(plan.items):
            progress.report("releasing" if plan.reverts else "restricting", percent=100 * number // len(plan.items))
            await _whole(self._put_back(item) if plan.reverts else self._make(item, plan.action))

    async def _make(self, item: PlannedItem, action: str) -> None:
        before = Before.load(item.before)
        self._record.put(item.key, action, item.before)
        self._house.point("execution.recorded")
        if item.key == memfd.KEY:
            memfd.write(memfd.NEVER)
        else:
            await self._control.restrict(before.policy)
        self._house.point("execution.restricted")

    async def _put_back(self, item: PlannedItem) -> None:
        before = Before.load(item.before)
        if item.key == EXECUTION:
            await self._control.release()
        elif before.memfd is not None and memfd.read() == memfd.NEVER:
            memfd.write(before.memfd)
        self._house.point("execution.released")
        self._record.drop(item.key)
        self._house.point("execution.forgotten")

    async def probe(self, plan: Plan) -> Sequence[Finding]:
        """Ask the guardian and the kernel, and try to start something."""
        return [await self._look(item, reverts=plan.reverts) for item in plan.items]

    async def _look(self, item: PlannedItem, *, reverts: bool) -> Finding:
        before = Before.load(item.before)
        if before.memfd is not None:
            return _memory_back(before.memfd) if reverts else _memory(before.memfd)
        try:
            return await (self._execution_back(before) if reverts else self._execution(before))
        except (OSError, ProgramLateError):
            return _failed("CANARY_FAILED")

    async def _execution(self, before: Before) -> Finding:
        status, policy = await self._control.status(), before.policy
        if status is None or status.policy not in ("", policy.digest) or not await self._control.is_saved(policy):
            return Finding(item_pb2.ITEM_STATE_PLANNED)
        if not status.policy:
            return _failed("GUARD_DEAD")
        if await self._leaves_out(status):
            return _failed("NOT_WATCHED")
        if await canary.stranger_starts(self._house.folder, self._house.trusted):
            return _failed("STRANGER_STARTS")
        if not await canary.starts(self._house.trusted):
            return _failed("TRUSTED_REFUSED")
        return Finding(item_pb2.ITEM_STATE_DONE)

    async def _leaves_out(self, status: Status) -> bool:
        for _ in range(LOOKS):
            if not self._control.not_watched(status):
                return False
            await asyncio.sleep(LOOK_EVERY)
        return True

    async def _execution_back(self, before: Before) -> Finding:
        if not self._control.is_gone() or not await self._control.is_saved(None):
            return Finding(item_pb2.ITEM_STATE_PLANNED)
        if before.started and not await canary.stranger_starts(self._house.folder, self._house.trusted):
            return _failed("STILL_REFUSED")
        return Finding(item_pb2.ITEM_STATE_DONE)

    async def moved(self, plan: Plan) -> None:
        """Wait until guardian, guard, a watch, the next boot's policy, or the kernel's setting is another than now."""
        kept = {item.key: Before.load(item.before) for item in plan.items}
        first: Status | None = None
        while True:
            if memfd.KEY in kept and memfd.read() != memfd.NEVER:
                return
            if EXECUTION in kept:
                status = await self._control.status()
                policy = kept[EXECUTION].policy
                if status is None or status.policy != policy.digest or not await self._control.is_saved(policy):
                    return
                if first not in (None, status):
                    return
                first = status
            await asyncio.sleep(LOOK_EVERY)

    async def marks(self) -> Sequence[Mark]:
        """Read the record."""
        try:
            noted = self._record.read()
            return [_mark(key, action, before) for key, (action, before) in noted.items()]
        except (OSError, ValueError, KeyError) as error:
            log.warning("record_unreadable", error=type(error).__name__)
            return []


def missing() -> str:
    """Return why this machine can't restrict what starts; empty: it can."""
    return fanotify.missing() or packages.missing(Path(PACKAGES))


async def _whole(change: Coroutine[Any, Any, None]) -> None:
    """Make a change to its end, and only then let a cancellation through."""
    making = asyncio.ensure_future(change)
    try:
        await asyncio.shield(making)
    except asyncio.CancelledError:
        await asyncio.gather(making, return_exceptions=True)
        raise


def _planned(key: str, before: Before) -> PlannedItem:
    aspect = key.removeprefix("device.")
    return PlannedItem(key, item_pb2.Item(device=item_pb2.DeviceItem(aspect=aspect)), before.dump())


def _mark(key: str, action: str, before: bytes) -> Mark:
    order = Before.load(before).order
    return Mark(
        action,
        remediation_pb2.Remediation(restrict_code_execution=order),
        _planned(key, Before.load(before)),
    )


def _memory(before: int) -> Finding:
    now = memfd.read()
    if now == memfd.NEVER:
        return Finding(item_pb2.ITEM_STATE_DONE)
    return Finding(item_pb2.ITEM_STATE_PLANNED) if now == before else _failed("MEMORY_CHANGED")


def _memory_back(before: int) -> Finding:
    now = memfd.read()
    if now == before:
        return Finding(item_pb2.ITEM_STATE_DONE)
    if now == memfd.NEVER:
        return Finding(item_pb2.ITEM_STATE_PLANNED)
    failure = failure_pb2.Failure(
        reason="MEMORY_CHANGED", message=f"vm.memfd_noexec is {now}; it was {before}, and we set {memfd.NEVER}"
    )
    return Finding(item_pb2.ITEM_STATE_CONFLICT, failure)


def _failed(reason: str) -> Finding:
    return Finding(item_pb2.ITEM_STATE_FAILED, failure_pb2.Failure(reason=reason, message=MESSAGES[reason]))
