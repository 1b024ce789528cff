"""Bugs, planted into the real code where it can be taken apart: a simulation that can't see them proves nothing."""
# ruff: noqa: SLF001, ANN401, TC001 - whoever plants a bug reaches inside

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from quell.remediation.v1 import item_pb2
from typing_extensions import override

from quell_actioncenter.application.book import Book, Note
from quell_actioncenter.application.center import Center
from quell_actioncenter.application.dispatch import Dispatcher
from quell_actioncenter.application.setting import Settings
from quell_actioncenter.domain.lifecycle import SENT, Event, State
from quell_actioncenter.domain.records import OutboxRecord
from quell_actioncenter.store.tables import ACTIONS
from quell_executor.effect import Finding, Marked
from quell_executor.executor import Executor
from quell_executor.inheritance import Inheritance
from quell_executor.journal.endings import Ending
from quell_executor.journal.records import FENCES, ORDERS, PLANS, Begun
from quell_executor.parts import TO_DO, Parts, decode
from quell_executor.pruning import Pruning, _drop
from quell_executor.run import Run
from quell_runtime.seams import when
from quell_runtime.store import Change, Store, View
from quell_runtime.store.store import Place
from simulation.nodes import Kinds

R = TypeVar("R")
NAMES = ("device.path:", "device.content:", "email.query:")


class NoOutbox(Dispatcher):
    """What waits is in memory alone."""

    @override
    async def _load(self, tail: str, parameters: Sequence[str]) -> list[OutboxRecord]:
        return []


class NoResend(Dispatcher):
    """What was sent once is not sent again."""

    @override
    async def _load(self, tail: str, parameters: Sequence[str]) -> list[OutboxRecord]:
        return [row for row in await super()._load(tail, parameters) if not row.sealed]


class DispatchesBy(Center):
    """A centre with other dispatchers."""

    def __init__(self, dispatcher: type[Dispatcher], *parts: Any, **seams: Any) -> None:
        """Put them in place."""
        super().__init__(*parts, **seams)
        settings: Settings = parts[3]
        for one in settings.executors:
            self._dispatchers[one.plane] = dispatcher(self._desk, self._house, one)


class ExpiresSent(Center):
    """Ends by its own clock what was sent."""

    @override
    async def start(self, policy: str | None = None) -> None:
        await super().start(policy)
        self._tasks.append(asyncio.create_task(self._expire()))

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(10)
            sent = await self._desk.store.select(ACTIONS, "WHERE state IN (5, 6)")
            await self._desk.decide(partial(_end, names=[record.name for record in sent]))


def _end(book: Book, names: Sequence[str]) -> None:
    for record in filter(None, map(book.action, names)):
        if State(record.state) in SENT and when(record.action.target_expire_time) <= book.now:
            book._write(record, State.TIMED_OUT, Event.TARGET_EXPIRED, Note("center"), lambda _: None)


class AnswersFirst(Store):
    """Answers before COMMIT."""

    @override
    async def _decide(self, group: Any) -> None:
        await super()._decide(group)
        for caller in group.callers:
            if caller.error is None and not caller.answer.done():
                caller.answer.set_result(caller.result)
                caller.answer = asyncio.get_running_loop().create_future()


class TellsFirst(Store):
    """Tells listeners before COMMIT: receipts go up that are not journaled."""

    @override
    async def _decide(self, group: Any) -> None:
        await super()._decide(group)
        changes = [
            Change(place[0], place[1], group.before.get(place), after)
            for place, after in group.after.items()
            if after is not group.before.get(place)
        ]
        for listener in tuple(self._listeners):
            listener(changes)


class Forgets(Store):
    """Does not write some rows."""

    def __init__(self, forgotten: Callable[[Place], bool], *parts: Any, **seams: Any) -> None:
        """Know which."""
        super().__init__(*parts, **seams)
        self._forgotten = forgotten

    @override
    async def change(self, decide: Callable[[View], R], reads: Sequence[Place] = (), *, urgent: bool = False) -> R:
        def forgetful(view: View) -> R:
            result = decide(view)
            for place in [place for place in view.changed if self._forgotten(place)]:
                del view.changed[place]
            return result

        return await super().change(forgetful, reads, urgent=urgent)


class DoesNotLook(Run):
    """Does again what its journal says was begun."""

    @override
    async def recover(self, begun: Begun) -> None:
        await self._make(decode(begun.plan), begun.begin_time)


class SaysFirst(Run):
    """Journals that it is done, then does it."""

    @override
    async def _make(self, parts: Parts, begin_time: Any = None) -> None:
        done = Finding(item_pb2.ITEM_STATE_DONE)
        said = tuple(part.each(lambda _, found: done if found.state == TO_DO else found) for part in parts)
        await self._end(Ending(self.order.action, said, begin_time or self.kit.journal.time.now()))
        await self._apply(parts)


class RunsBy(Executor):
    """An executor with other runs."""

    def __init__(self, run: type[Run], *parts: Any) -> None:
        """Know them."""
        super().__init__(*parts)
        self._run = run

    @override
    async def _follow(self, run: Run, begun: Begun | None) -> None:
        other = self._runs[run.order.action] = self._run(run.kit, run.order, run.verified)
        await super()._follow(other, begun)


class NoMarks(Inheritance):
    """Does not look at marks."""

    @override
    async def _adopt(self, kind: str, effect: Marked) -> None:
        return


class ForgetsAll(Pruning):
    """Forgets what is in force, or was not acknowledged."""

    @override
    async def forget(self, before: datetime) -> None:
        for order in await self._journal.store.select(ORDERS, "WHERE stage = 'ended'"):
            await self._journal.durably(partial(_drop, order=order), [(ORDERS, order.action)])


class WorksBy(Executor):
    """An executor with other parts."""

    def __init__(
        self,
        *parts: Any,
        inheritance: type[Inheritance] = Inheritance,
        pruning: type[Pruning] = Pruning,
    ) -> None:
        """Put them in place."""
        super().__init__(*parts)
        self._inheritance = inheritance(self._kit)
        self._pruning = pruning(self._journal, self._settings.keep, self._spawn)


def _works(**parts: Any) -> Kinds:
    return Kinds(executor=partial(WorksBy, **parts))


def _forgets(forgotten: Callable[[Place], bool]) -> Kinds:
    return Kinds(journal_store=partial(Forgets, forgotten))


BUGS: Mapping[str, Callable[[], Kinds]] = {
    "no_outbox": lambda: Kinds(center=partial(DispatchesBy, NoOutbox)),
    "no_resend": lambda: Kinds(center=partial(DispatchesBy, NoResend)),
    "acknowledged_before_commit": lambda: Kinds(center_store=AnswersFirst),
    "receipt_before_commit": lambda: Kinds(journal_store=TellsFirst),
    "no_plan_journaled": lambda: _forgets(lambda place: place[0] is PLANS),
    "no_probe_on_recovery": lambda: Kinds(executor=partial(RunsBy, DoesNotLook)),
    "sent_expired_by_center": lambda: Kinds(center=ExpiresSent),
    "done_before_effect": lambda: Kinds(executor=partial(RunsBy, SaysFirst)),
    "no_sequence": lambda: _forgets(lambda place: place[0] is FENCES),
    "names_not_fenced": lambda: _forgets(lambda place: place[0] is FENCES and str(place[1]).startswith(NAMES)),
    "no_marks": lambda: _works(inheritance=NoMarks),
    "forgets_what_counts": lambda: _works(pruning=ForgetsAll),
}
