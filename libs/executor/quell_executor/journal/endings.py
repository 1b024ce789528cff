"""The end of an action: receipt, item chunks, ownership and revert time in one transaction."""

from dataclasses import dataclass
from datetime import datetime

from quell.remediation.v1 import failure_pb2, outcome_pb2
from quell.warrant.v1 import receipt_pb2, warrant_pb2

from quell_executor.effect import Reading
from quell_executor.journal.afterwards import Afterwards
from quell_executor.journal.ownership import CHANGED, Moves, let_go, no_longer_let_go, take
from quell_executor.journal.records import DEAD_MEN, ORDERS, OWNERS, REVERTS, Order, Revert, Stage
from quell_executor.outcome import GOOD, chunks_of, failure_of, outcome_of, reading_effect, settled, undo_of
from quell_executor.parts import Parts, because, outcomes
from quell_runtime.kinds import kinds
from quell_runtime.seams import when
from quell_runtime.store import View

MOST_TAKEN_OVER = 1000


@dataclass(frozen=True, slots=True)
class Ending:
    """How an action came to its end: its parts as the last probe saw them.

    `stopped`: it was stopped, by `superseded_by` if that is set. `unknown`: the probe could not tell. `failure` is what
    the effect itself said. `dead_man`: it may cut off its own receipt, and is taken back if that is not acknowledged.
    """

    action: str
    parts: Parts
    begin_time: datetime | None = None
    stopped: bool = False
    superseded_by: str = ""
    unknown: bool = False
    failure: failure_pb2.Failure | None = None
    dead_man: bool = False


class Journal(Afterwards):
    """The whole journal."""

    async def end(self, ending: Ending) -> None:
        """Journal the end of what was begun."""
        owners = ((OWNERS, item.key) for part in ending.parts for item in part.plan.items)
        await self.durably(lambda view: self._end(view, ending), [(ORDERS, ending.action), *owners])

    def _end(self, view: View, ending: Ending) -> None:
        order = view.need(ORDERS, ending.action)
        if order.stage is Stage.ENDED:
            return
        warrant = warrant_pb2.Warrant.FromString(order.sealed.body)
        may_cut_off = ending.dead_man and _may_cut_off(view, ending.parts)
        over = self._own(view, order, ending.parts)
        if ending.stopped:
            # Who called it off wants kept what it has not let go of.
            no_longer_let_go(view, ending.parts, order.action)
        owns = view.need(ORDERS, order.action).owned > 0
        if owns and may_cut_off:
            view.put(DEAD_MEN, Revert(order.action, self.time.now() + self._settings.dead_man))
        if owns and warrant.HasField("revert_time"):
            view.put(REVERTS, Revert(order.action, when(warrant.revert_time)))
        failed = ending.failure or because("STOPPED" if ending.stopped else "EFFECT_NOT_OBSERVED")
        parts = settled(ending.parts, failed)
        receipt = receipt_pb2.Receipt(action=order.action, superseded_by=ending.superseded_by)
        receipt.takes_over.extend([older for older in over if older != warrant.undo_of][:MOST_TAKEN_OVER])
        self._say(receipt, order, warrant, ending, parts)
        items = outcomes(parts) if receipt.HasField("outcome") else []
        chunks, digest = chunks_of(items)
        receipt.item_chunks, receipt.item_digest = len(chunks), digest
        if receipt.HasField("outcome"):
            lets_go = bool(warrant.undo_of) or kinds()[order.kind].release
            changed = receipt.outcome.items.done_items > 0
            receipt.outcome.undo = undo_of(kinds()[order.kind], lets_go=lets_go, changed=changed, owns=owns)
        self._answer(view, receipt, chunks)

    def _own(self, view: View, order: Order, parts: Parts) -> list[str]:
        """Move ownership by what was seen; return the older actions that answer for nothing any more."""
        moves = Moves()
        for part in parts:
            if part.plan.reverts:
                let_go(view, part, moves)
            else:
                take(view, order, part, moves)
        self._report_gone(view, moves)
        return moves.settle(view, self.time.now())

    def _say(
        self,
        receipt: receipt_pb2.Receipt,
        order: Order,
        warrant: warrant_pb2.Warrant,
        ending: Ending,
        parts: Parts,
    ) -> None:
        """Say in the receipt what the parts say."""
        states = [outcome.state for outcome in outcomes(parts)]
        reverts = bool(warrant.undo_of) or kinds()[order.kind].release
        outcome = outcome_of(states, self.time.now(), ending.begin_time, reverts=reverts)
        if ending.unknown:
            outcome.effect = outcome_pb2.EFFECT_STATE_UNKNOWN
        receipt.disposition = _disposition(ending, outcome)
        if receipt.disposition not in (receipt_pb2.DISPOSITION_CARRIED_OUT, receipt_pb2.DISPOSITION_STOPPED):
            return
        receipt.outcome.CopyFrom(outcome)
        failure = ending.failure or failure_of(parts)
        if failure and outcome.effect not in GOOD:
            receipt.failure.CopyFrom(failure)

    async def end_reading(self, ending: Ending, reading: Reading) -> None:
        """Journal the end of what only read."""
        action = ending.action

        def decide(view: View) -> None:
            if view.need(ORDERS, action).stage is Stage.ENDED:
                return
            states = [item.state for item in reading.items]
            outcome = outcome_of(states, self.time.now())
            outcome.effect = reading_effect(states)
            if ending.stopped or ending.failure:
                outcome.effect = outcome_pb2.EFFECT_STATE_NOT_IN_FORCE
            if reading.scan:
                outcome.scan.CopyFrom(reading.scan)
            if reading.artifact:
                outcome.artifact.CopyFrom(reading.artifact)
            chunks, digest = chunks_of(reading.items)
            stopped = receipt_pb2.DISPOSITION_STOPPED if ending.stopped else receipt_pb2.DISPOSITION_CARRIED_OUT
            receipt = receipt_pb2.Receipt(
                action=action,
                disposition=stopped,
                outcome=outcome,
                failure=ending.failure,
                item_chunks=len(chunks),
                item_digest=digest,
            )
            self._answer(view, receipt, chunks)

        await self.durably(decide)


def _may_cut_off(view: View, parts: Parts) -> bool:
    """Tell whether something was changed, or what is taken over still waits to be acknowledged."""
    items = [item for part in parts for item in part.plan.items]
    rows = [row for item in items if (row := view.get(OWNERS, item.key))]
    changed = any(finding.state in CHANGED for part in parts for finding in part.findings)
    return changed or any(view.get(DEAD_MEN, row.owner) is not None for row in rows)


def _disposition(ending: Ending, outcome: outcome_pb2.Outcome) -> receipt_pb2.Disposition.ValueType:
    counts = outcome.items
    if counts.total_items and counts.superseded_items == counts.total_items:
        return receipt_pb2.DISPOSITION_SUPERSEDED
    # What was told to stop and came to its end nevertheless was carried out.
    if not ending.stopped or outcome.effect in GOOD:
        return receipt_pb2.DISPOSITION_CARRIED_OUT
    if any(finding.state in CHANGED for part in ending.parts for finding in part.findings):
        return receipt_pb2.DISPOSITION_STOPPED
    return receipt_pb2.DISPOSITION_SUPERSEDED if ending.superseded_by else receipt_pb2.DISPOSITION_CANCELED
