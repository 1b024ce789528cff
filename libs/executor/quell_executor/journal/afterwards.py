"""What happens to effects after their receipts: reverts, looks, what is made so again, what is inherited."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from quell.journal.v1 import plan_pb2
from quell.remediation.v1 import failure_pb2, outcome_pb2
from quell.warrant.v1 import effect_report_pb2

from quell_executor.effect import Finding, Mark
from quell_executor.journal.beginnings import Beginnings
from quell_executor.journal.ownership import Moves, adopt, begin_to_let_go, let_go
from quell_executor.journal.records import DEAD_MEN, ORDERS, OUTGOING, Owner, Revert, Stage
from quell_executor.outcome import GOOD, effect_seen, failure_of, outcome_of, settled
from quell_executor.parts import Parts, because, encode_item, outcomes
from quell_runtime.store import Table, View, replace

EffectState: TypeAlias = outcome_pb2.EffectState.ValueType
IN_FORCE = outcome_pb2.EFFECT_STATE_IN_FORCE
Reports = tuple[str, ...]
"""The ids of reports that newer ones may take the place of."""


@dataclass(frozen=True, slots=True)
class Stood:
    """How a look at what stands ended: how it was found, and how it is now. `explained`: a reboot took it away."""

    found: EffectState
    now: EffectState
    failure: failure_pb2.Failure | None = None
    explained: bool = False


class Afterwards(Beginnings):
    """Journals what becomes of effects in force."""

    async def begin_revert(self, due: Table[Revert], action: str, parts: Parts) -> bool:
        """Note that an action's effect is being taken back by itself; False if that was called off meanwhile."""

        def decide(view: View) -> bool:
            revert = view.get(due, action)
            if revert is None:
                return False
            view.put(due, replace(revert, begun=True))
            begin_to_let_go(view, parts, action.replace("actions/", "reverts/", 1))
            return True

        return await self.durably(decide)

    async def end_revert(self, due: Table[Revert], action: str, parts: Parts) -> None:
        """Journal the end of that, and report it. A conflict leaves the effect, and a person is asked."""

        def decide(view: View) -> None:
            if view.get(due, action) is None:
                return
            moves = Moves()
            for part in parts:
                let_go(view, part, moves)
            moves.settle(view, self.time.now())
            view.drop(due, action)
            self._report_revert(view, due, action, parts)
            self._know(view)

        await self.durably(decide)

    def _report_revert(self, view: View, due: Table[Revert], action: str, parts: Parts) -> None:
        parts = settled(parts, because("EFFECT_NOT_OBSERVED"))
        back = outcome_of([item.state for item in outcomes(parts)], self.time.now(), reverts=True)
        if back.effect in GOOD:
            by_time = effect_report_pb2.EFFECT_EVENT_REVERTED_BY_TIME
            event = effect_report_pb2.EFFECT_EVENT_ROLLED_BACK if due is DEAD_MEN else by_time
            effect = outcome_pb2.EFFECT_STATE_NOT_IN_FORCE
        else:
            event, effect = effect_report_pb2.EFFECT_EVENT_REVERT_CONFLICT, IN_FORCE
            if back.effect == outcome_pb2.EFFECT_STATE_PARTLY_IN_FORCE:
                effect = outcome_pb2.EFFECT_STATE_PARTLY_IN_FORCE
        self._report(view, action, event, effect, failure_of(parts))

    async def report_probe(self, action: str, effect: EffectState, instead_of: str) -> str:
        """Report how an effect was found, instead of an older report that may not have gone up; return its id."""

        def decide(view: View) -> str:
            if instead_of:
                view.drop(OUTGOING, instead_of)
            return self._report(view, action, _probed(effect), effect)

        return await self.durably(decide)

    async def report_let_go(self, action: str, instead_of: str) -> str:
        """Report that nothing is left of what was let go, instead of an older report; return its id."""

        def decide(view: View) -> str:
            if instead_of:
                view.drop(OUTGOING, instead_of)
            probed = effect_report_pb2.EFFECT_EVENT_PROBED
            return self._report(view, action, probed, outcome_pb2.EFFECT_STATE_NOT_IN_FORCE)

        return await self.durably(decide)

    async def report_standing(self, action: str, stood: Stood, instead_of: Reports) -> Reports:
        """Report that an effect was taken away, and whether it is so again."""

        def decide(view: View) -> Reports:
            for older in instead_of:
                view.drop(OUTGOING, older)
            ids = []
            if stood.found != IN_FORCE and not stood.explained:
                ids.append(self._report(view, action, effect_report_pb2.EFFECT_EVENT_TAMPERED, stood.found))
            drifted, again = effect_report_pb2.EFFECT_EVENT_DRIFTED, effect_report_pb2.EFFECT_EVENT_REASSERTED
            event = again if stood.now == IN_FORCE else drifted
            return (*ids, self._report(view, action, event, stood.now, stood.failure))

        return await self.durably(decide)

    async def adopt(self, kind: str, found: Sequence[tuple[Mark, Finding]]) -> None:
        """Own what only the effect's marks tell of: a release by hand finds it, an undo does not know it."""

        def decide(view: View) -> None:
            view.expect((ORDERS, f"actions/{mark.action}") for mark, _ in found)
            for mark, finding in found:
                owner = f"actions/{mark.action}"
                order = view.get(ORDERS, owner)
                if order and order.stage is not Stage.ENDED:
                    # It is under way, and its own end tells.
                    continue
                planned = encode_item(mark.item, finding)
                adopt(
                    view,
                    plan_pb2.Ownership(
                        kind=kind, owner=owner, first=owner, planned=planned, inherited=mark.remediation
                    ),
                )

        await self.durably(decide)

    async def report_inherited(self, found: Sequence[tuple[Owner, Finding]], instead_of: dict[str, str]) -> None:
        """Report how what was inherited is, by item key instead of older reports."""

        def decide(view: View) -> dict[str, str]:
            reported = {}
            for row, finding in found:
                if row.key in instead_of:
                    view.drop(OUTGOING, instead_of[row.key])
                effect = effect_seen([finding])
                subject = row.ownership.inherited
                reported[row.key] = self._report(view, subject, _probed(effect), effect, finding.failure)
            return reported

        instead_of |= await self.durably(decide)

    def _report_gone(self, view: View, moves: Moves) -> None:
        """Report that what was inherited is so no more, or is another action's by now."""
        for row in moves.inherited:
            gone = outcome_pb2.EFFECT_STATE_NOT_IN_FORCE
            self._report(view, row.ownership.inherited, effect_report_pb2.EFFECT_EVENT_PROBED, gone)


def _probed(effect: EffectState) -> effect_report_pb2.EffectEvent.ValueType:
    as_ordered = (IN_FORCE, outcome_pb2.EFFECT_STATE_UNKNOWN)
    probed, drifted = effect_report_pb2.EFFECT_EVENT_PROBED, effect_report_pb2.EFFECT_EVENT_DRIFTED
    return probed if effect in as_ordered else drifted
