"""The end of an action: receipt, item chunks, ownership and revert time in one transaction."""

from dataclasses import dataclass
from datetime import datetime

from quell.remediation.v1 import failure_pb2, item_pb2, outcome_pb2
from quell.warrant.v1 import effect_report_pb2, receipt_pb2, warrant_pb2

from quell_executor.effect import Finding, PlannedItem, Reading
from quell_executor.journal.beginnings import Beginnings
from quell_executor.journal.ownership import CHANGED, Moves, let_go, take
from quell_executor.journal.records import ORDERS, OUTGOING, OWNERS, REVERTS, Order, Revert, Stage
from quell_executor.outcome import chunks_of, failure_of, outcome_of, reading_effect, undo_of
from quell_executor.parts import TO_DO, Parts, because, outcomes
from quell_runtime.kinds import kinds
from quell_runtime.seams import when
from quell_runtime.store import View

GOOD = (outcome_pb2.EFFECT_STATE_IN_FORCE, outcome_pb2.EFFECT_STATE_ALREADY_IN_FORCE)
MOST_TAKEN_OVER = 1000


@dataclass(frozen=True, slots=True)
class Ending:
    """How an action came to its end: its parts as the last probe saw them.

    `stopped`: it was stopped, by `superseded_by` if that is set. `unknown`: the probe could not tell. `failure` is what
    the effect itself said.
    """

    action: str
    parts: Parts
    begin_time: datetime | None = None
    stopped: bool = False
    superseded_by: str = ""
    unknown: bool = False
    failure: failure_pb2.Failure | None = None


class Journal(Beginnings):
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
        over = self._own(view, order, ending.parts)
        owns = view.need(ORDERS, order.action).owned > 0
        if owns and warrant.HasField("revert_time"):
            view.put(REVERTS, Revert(order.action, when(warrant.revert_time)))
        parts = _settled(ending)
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
        return moves.settle(view)

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

    async def end_revert(self, action: str, parts: Parts) -> None:
        """Journal the end of a revert by time, and report it. A conflict leaves the effect, and a person is asked."""

        def decide(view: View) -> None:
            if view.get(REVERTS, action) is None:
                return
            moves = Moves()
            for part in parts:
                let_go(view, part, moves)
            moves.settle(view)
            view.drop(REVERTS, action)
            self._report_revert(view, action, parts)
            self._know(view)

        await self.durably(decide)

    def _report_revert(self, view: View, action: str, parts: Parts) -> None:
        settled = _settled(Ending(action, parts))
        back = outcome_of([item.state for item in outcomes(settled)], self.time.now(), reverts=True)
        if back.effect in GOOD:
            event, effect = effect_report_pb2.EFFECT_EVENT_REVERTED_BY_TIME, outcome_pb2.EFFECT_STATE_NOT_IN_FORCE
        else:
            event, effect = effect_report_pb2.EFFECT_EVENT_REVERT_CONFLICT, outcome_pb2.EFFECT_STATE_IN_FORCE
            if back.effect == outcome_pb2.EFFECT_STATE_PARTLY_IN_FORCE:
                effect = outcome_pb2.EFFECT_STATE_PARTLY_IN_FORCE
        self._report(view, action, event, effect, failure_of(settled))

    async def report_probe(self, action: str, effect: outcome_pb2.EffectState.ValueType, instead_of: str) -> str:
        """Report how an effect was found, instead of an older report that may not have gone up; return its id."""
        as_ordered = (outcome_pb2.EFFECT_STATE_IN_FORCE, outcome_pb2.EFFECT_STATE_UNKNOWN)
        event = effect_report_pb2.EFFECT_EVENT_DRIFTED
        if effect in as_ordered:
            event = effect_report_pb2.EFFECT_EVENT_PROBED

        def decide(view: View) -> str:
            if instead_of:
                view.drop(OUTGOING, instead_of)
            return self._report(view, action, event, effect)

        return await self.durably(decide)


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


def _settled(ending: Ending) -> Parts:
    """Return the parts as they count: what was to be done, and is as it was before, did not come as ordered."""
    reason = "STOPPED" if ending.stopped else "EFFECT_NOT_OBSERVED"
    kept = Finding(item_pb2.ITEM_STATE_FAILED, ending.failure or because(reason))

    def settle(_item: PlannedItem, finding: Finding) -> Finding:
        return kept if finding.state == TO_DO else finding

    return tuple(part.each(settle) for part in ending.parts)
