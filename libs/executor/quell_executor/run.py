"""One action under way: from its accepted warrant to its journaled receipt, detached from every conversation."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar, cast

import structlog
from quell.executor.v1 import progress_pb2
from quell.remediation.v1 import failure_pb2, item_pb2

from quell_executor import changing
from quell_executor.effect import Finding, Offers, PlannedItem, Reader, Reading, RefusedError
from quell_executor.journal.beginnings import Beginning, FrozenError
from quell_executor.journal.endings import Ending, Journal
from quell_executor.journal.ownership import CHANGED
from quell_executor.journal.records import Begun, Order
from quell_executor.locks import Locks
from quell_executor.outcome import refused
from quell_executor.parts import TO_DO, Parts, because, decode, keys_of
from quell_executor.progress import Silent, Told
from quell_executor.resolving import Resolved, Resolver, bare
from quell_executor.settings import Seams, Settings
from quell_executor.warrant import VerifiedWarrant
from quell_runtime.kinds import order_of
from quell_runtime.seams import when

log = structlog.get_logger()
T = TypeVar("T")


@dataclass(frozen=True)
class Kit:
    """What runs share."""

    settings: Settings
    seams: Seams
    offers: Offers
    journal: Journal
    resolver: Resolver
    tell: Callable[[progress_pb2.Progress], None]
    locks: Locks = field(default_factory=Locks)
    readings: dict[str, asyncio.Lock] = field(default_factory=dict)


class Run:
    """One action under way. `stop` is how a cancel, or a newer action that takes it back, ends it half-way."""

    def __init__(self, kit: Kit, order: Order, verified: VerifiedWarrant) -> None:
        """Take the accepted order, verified."""
        self.kit = kit
        self.order = order
        self.verified = verified
        self.parts: Parts = ()
        self._stopped = False
        self._stopped_by = ""
        self._making: asyncio.Task[Any] | None = None

    def stop(self, by: str = "") -> None:
        """Stop between two changes, if it has begun; `by` is the newer action that takes it back."""
        self._stopped, self._stopped_by = True, by
        if self._making:
            self._making.cancel()

    async def carry_out(self) -> None:
        """Carry the warrant out, whatever that comes to: at its end there is a receipt."""
        try:
            await (self._read() if self.verified.reads else self._change())
        except RefusedError as error:
            await self.kit.journal.answer(refused(self.order.action, error.failure))
        except Exception:
            if self.parts:
                # Something may have been changed: only looking at it, at the next start, can tell.
                raise
            log.exception("plan_failed", action=self.order.action)
            failure = failure_pb2.Failure(reason="PLAN_FAILED", message="see its log", retryable=True)
            await self.kit.journal.answer(refused(self.order.action, failure))

    async def _change(self) -> None:
        keys: frozenset[str] = frozenset()
        while True:
            keys |= (await self._resolve()).keys
            try:
                async with self.kit.locks.hold(keys, self.order.sequence):
                    # Planned anew: whoever held the keys before has changed what a plan rests on.
                    resolved = await self._resolve()
                    if resolved.keys <= keys:
                        return await self._begin(resolved)
                    keys |= resolved.keys
            except FrozenError:
                await self.kit.journal.thaw(self.order.kind, when(self.verified.warrant.expire_time))

    async def _resolve(self) -> Resolved:
        warrant = self.verified.warrant
        resolved = await self.kit.resolver.resolve(
            warrant.remediation, warrant.undo_of, self.order.action, self.order.snapshot
        )
        if not self.verified.lets_go and warrant.max_items and len(resolved.items) > warrant.max_items:
            raise RefusedError("TOO_MANY_ITEMS", f"{len(resolved.items)} items; approved are {warrant.max_items}")
        return resolved

    async def _begin(self, resolved: Resolved) -> None:
        parts = tuple([await changing.look(resolved.effect, plan) for plan in resolved.plans])
        if not self.verified.lets_go:
            parts = changing.spare(parts, self.kit.settings.protected)
        beginning = Beginning(self.verified, parts + resolved.kept, resolved.names)
        begun = await self.kit.journal.begin(beginning)
        if begun is None:
            return
        self.kit.seams.point("kit.planned")
        if self.kit.journal.time.now() >= when(self.verified.warrant.expire_time):
            # It took too long to journal: the machine slept. Nothing is changed yet, and asked again it is too late.
            await self.kit.journal.unbegin(self.order.action)
            begun = await self.kit.journal.begin(beginning)
        if begun is not None:
            await self._make(begun)

    async def _make(self, parts: Parts, begin_time: datetime | None = None) -> None:
        """Change what is to be changed, look, and journal the end."""
        self.parts = parts
        failure = None
        if any(part.to_do.items for part in parts):
            begin_time = begin_time or self.kit.journal.time.now()
            failure = await self._apply(parts)
        self.kit.seams.point("kit.applied")
        ending = Ending(self.order.action, parts, begin_time, self._stopped, self._stopped_by, failure=failure)
        await self._conclude(ending)

    async def _apply(self, parts: Parts) -> failure_pb2.Failure | None:
        """Run the effect. Return what it says went wrong; what is so is seen afterwards."""
        making = await self._stoppable(lambda told: changing.make(self._effect, parts, told))
        if making.cancelled() or (error := making.exception()) is None:
            return None
        if isinstance(error, RefusedError):
            return error.failure
        if not isinstance(error, Exception):
            raise error
        log.error("effect_failed", action=self.order.action, exc_info=error)
        return because("EFFECT_FAILED", "the effect failed: see its log")

    async def _stoppable(self, work: Callable[[Told], Coroutine[Any, Any, T]]) -> "asyncio.Task[T]":
        """Run what `stop` may cancel, and return it done."""
        told = Told(self.order.action, self.kit.journal.time.now, self.kit.tell)
        task = asyncio.create_task(work(told))
        self._making = task
        if self._stopped:
            task.cancel()
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            # If we are ended ourselves, the effect must not go on behind us.
            task.cancel()
            await asyncio.wait([task])
            raise
        finally:
            told.close()
            self._making = None
        return task

    @property
    def _effect(self) -> Any:  # noqa: ANN401 - an effect of an order that only it knows
        kind = self.verified.kind
        lets_go_by_itself = kind.release and not self.verified.warrant.undo_of
        return self.kit.resolver.effect(kind.inverse if lets_go_by_itself else kind.name)

    @property
    def _dead_man(self) -> bool:
        """Whether it is taken back if its receipt is not acknowledged: a person may have asked to hold it."""
        hold = getattr(order_of(self.verified.warrant.remediation), "hold", False)
        return not self.verified.lets_go and getattr(self._effect, "dead_man", False) and not hold

    async def _conclude(self, ending: Ending) -> None:
        try:
            ending = replace(ending, parts=await changing.see(self._effect, ending.parts))
        except Exception:
            log.exception("probe_failed", action=self.order.action)
            ending = replace(ending, parts=changing.unknown(ending.parts), unknown=True)
        await self._end(ending)

    async def _end(self, ending: Ending) -> None:
        await self.kit.journal.end(replace(ending, dead_man=self._dead_man))
        self.kit.seams.point("kit.ended")

    async def recover(self, begun: Begun) -> None:
        """Go on from a journaled plan without an end, by looking at the world."""
        parts = decode(begun.plan)
        keys = keys_of(item for part in parts for item in part.plan.items)
        keys = keys.union(*(part.plan.names for part in parts))
        async with self.kit.locks.hold(keys, self.order.sequence):
            nothing_done = await self._recover(parts, begun.begin_time)
        if nothing_done:
            await self.carry_out()

    async def _recover(self, parts: Parts, begin_time: datetime) -> bool:
        """Conclude, finish or take back; True if nothing is done and it is to be begun, if it still may."""
        action = self.order.action
        try:
            seen = await changing.see(self._effect, parts)
            if lost := await self.kit.journal.superseded(self.order, parts):
                seen = await self._take_back(parts, seen, lost)
        except Exception:
            log.exception("probe_failed", action=action)
            await self._end(Ending(action, changing.unknown(parts), begin_time, unknown=True))
            return False
        pending = _still_to_do(parts, seen)
        unfinished = any(part.to_do.items for part in pending)
        if unfinished and not lost and not _touched(parts, seen):
            # Whoever goes before us now must not be taken for us at the next start.
            await self.kit.journal.unbegin(action)
            return True
        stopped = self.order.canceled or self._stopped
        if unfinished and not stopped:
            await self._make(pending, begin_time)
        else:
            await self._end(Ending(action, seen, begin_time, stopped, self._stopped_by))
        return False

    async def _take_back(self, parts: Parts, seen: Parts, lost: frozenset[str]) -> Parts:
        """Take back what the journal shows of items that a newer action answers for by now."""
        effect, gone = self._effect, Finding(item_pb2.ITEM_STATE_SUPERSEDED, because("SUPERSEDED"))
        left: dict[str, Finding] = {}
        for before, after in zip(parts, seen, strict=True):
            changed = [
                item
                for item, was, now in zip(before.plan.items, before.findings, after.findings, strict=True)
                if was.state == TO_DO and now.state in CHANGED and item.key in lost
            ]
            if before.plan.reverts:
                # What lets go is not undone.
                left |= {item.key: Finding(item_pb2.ITEM_STATE_DONE) for item in changed}
            elif changed:
                back = await effect.plan_revert(replace(before.plan, items=tuple(changed)))
                await effect.apply(back, Silent())
                for item, finding in zip(changed, await effect.probe(back), strict=True):
                    if finding.state != item_pb2.ITEM_STATE_DONE:
                        left[item.key] = Finding(item_pb2.ITEM_STATE_FAILED, finding.failure)

        def settle(item: PlannedItem, finding: Finding) -> Finding:
            return left.get(item.key, gone) if item.key in lost else finding

        return tuple(part.each(settle) for part in seen)

    async def _read(self) -> None:
        kind = self.order.kind
        order = order_of(self.verified.warrant.remediation)
        reader = cast("Reader[Any]", self.kit.offers[kind])
        async with self.kit.readings.setdefault(kind, asyncio.Lock()):
            if not await self.kit.journal.begin_reading(self.verified):
                return
            reading = await self._stoppable(lambda told: reader.read(bare(self.order.action), order, told))
        await self._end_reading(reading)

    async def _end_reading(self, reading: "asyncio.Task[Reading]") -> None:
        stopped = reading.cancelled()
        failure = None
        if not stopped and (error := reading.exception()):
            if isinstance(error, RefusedError) or not isinstance(error, Exception):
                raise error
            log.error("reading_failed", action=self.order.action, exc_info=error)
            failure = because("EFFECT_FAILED", "it could not be read: see its log")
        found = Reading(()) if stopped or failure else reading.result()
        ending = Ending(self.order.action, (), stopped=stopped, failure=failure)
        await self.kit.journal.end_reading(ending, found)
        self.kit.seams.point("kit.ended")


def _still_to_do(parts: Parts, seen: Parts) -> Parts:
    """Return the parts as seen, but for what was begun and is not as ordered: that is still to be done."""
    undone = (TO_DO, item_pb2.ITEM_STATE_FAILED)
    return tuple(
        replace(
            after,
            findings=tuple(
                Finding(TO_DO) if was.state == TO_DO and now.state in undone else now
                for was, now in zip(before.findings, after.findings, strict=True)
            ),
        )
        for before, after in zip(parts, seen, strict=True)
    )


def _touched(parts: Parts, seen: Parts) -> bool:
    return any(
        was.state == TO_DO and now.state in CHANGED
        for before, after in zip(parts, seen, strict=True)
        for was, now in zip(before.findings, after.findings, strict=True)
    )
