"""Questions to executors for previews, and the answers that are waited for; nothing of it is durable."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from quell.executor.v1 import executor_service_pb2, plan_pb2
from quell.remediation.v1 import failure_pb2, item_pb2, remediation_pb2

from quell_actioncenter.domain.errors import ExecutorAwayError, PlanRefusedError
from quell_runtime.kinds import kind_of
from quell_runtime.seams import Rng, new_uuid, stamp

PATIENCE_S = 20.0
"""How long an executor may think about a plan."""
MOST_ITEMS = 1_000_000
MOST_BYTES = 256 << 20
"""Of the items of one answer, as they came."""
LOST = ("EXECUTOR_AWAY", "TARGET_AWAY")


class Talking(Protocol):
    """Where questions can be said: a link's session."""

    def say(self, request: executor_service_pb2.WorkRequest) -> bool:
        """Queue a message for the executor; False: there is no stream."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an executor says that it would do."""

    items: tuple[item_pb2.Item, ...]
    summary: plan_pb2.PlanSummary


@dataclass(slots=True)
class _Question:
    answer: "asyncio.Future[Plan]"
    plane: str
    items: list[item_pb2.Item] = field(default_factory=list)
    size: int = 0


class Plans:
    """Open questions, by id."""

    def __init__(self, rng: Rng, sessions: Mapping[str, Talking]) -> None:
        """Ask the executors of these planes."""
        self._rng = rng
        self._sessions = sessions
        self._open: dict[str, _Question] = {}

    async def ask(
        self, remediation: remediation_pb2.Remediation, undo_of: str, keep_until: datetime, beyond: Sequence[bytes] = ()
    ) -> Plan:
        """Ask what would be done, what stands on the snapshots `beyond` left out.

        Raises:
            ExecutorAwayError: It can't be asked now, or does not answer.
            PlanRefusedError: It says that it can't be done.

        """
        plane = kind_of(remediation).plane
        question = _Question(asyncio.get_running_loop().create_future(), plane)
        query = plan_pb2.PlanQuery(
            id=new_uuid(self._rng),
            remediation=remediation,
            undo_of=undo_of,
            keep_time=stamp(keep_until),
            beyond=beyond,
        )
        session = self._sessions.get(plane)
        if session is None or not session.say(executor_service_pb2.WorkRequest(plan=query)):
            raise _away(plane)
        self._open[query.id] = question
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await question.answer
        except TimeoutError:
            raise _away(plane) from None
        finally:
            del self._open[query.id]

    def heard(self, answer: plan_pb2.PlanAnswer) -> None:
        """Take some of an answer; one that nobody waits for any more is dropped."""
        question = self._open.get(answer.id)
        if question is None or question.answer.done():
            return
        question.items.extend(answer.items)
        question.size += answer.ByteSize()
        if len(question.items) > MOST_ITEMS or question.size > MOST_BYTES:
            question.items.clear()
            question.answer.set_exception(PlanRefusedError("it is about too many items", failure="TOO_MANY_ITEMS"))
        elif answer.HasField("failure"):
            question.answer.set_exception(_refusal(question.plane, answer.failure))
        elif answer.HasField("summary"):
            question.answer.set_result(Plan(tuple(question.items), answer.summary))

    def lost(self, plane: str) -> None:
        """Answer what waits for a stream that is gone."""
        for question in self._open.values():
            if question.plane == plane and not question.answer.done():
                question.answer.set_exception(_away(plane))


def _away(plane: str) -> ExecutorAwayError:
    return ExecutorAwayError(f"the {plane} executor can't be asked now: try again", plane=plane)


def _refusal(plane: str, failure: failure_pb2.Failure) -> Exception:
    if failure.reason in LOST:
        return _away(plane)
    return PlanRefusedError(failure.message or "the executor says that it can't be done", failure=failure.reason)
