"""What the journal makes of warrants and cancels as they come."""

from collections.abc import Sequence
from enum import Enum, auto

from quell.remediation.v1 import failure_pb2
from quell.warrant.v1 import receipt_pb2, warrant_pb2

from quell_executor.journal.ledger import Ledger, refusal_id
from quell_executor.journal.records import CALLED_OFF, ORDERS, OUTGOING, OWNERS, CalledOff, Order, Stage
from quell_executor.outcome import refused
from quell_executor.parts import because
from quell_executor.warrant import VerifiedWarrant
from quell_runtime.errors import FullError
from quell_runtime.seams import when
from quell_runtime.store import View, replace


class Arrival(Enum):
    """What became of a warrant that came."""

    REFUSED = auto()
    KNOWN = auto()
    OTHER = auto()
    """A second body of an action that is known: a centre restored from an older copy made it anew."""
    NEW = auto()


class Arrivals(Ledger):
    """Journals warrants before they are accepted."""

    async def arrive(self, order: Order, verified: VerifiedWarrant) -> Arrival:
        """Journal a warrant that holds. One that is not to be begun has its receipt at once."""
        self.time.saw_sealed(when(verified.warrant.issue_time))
        inherited = await self._inherited(verified)
        try:
            return await self.durably(
                lambda view: self._arrive(view, order, verified, inherited=inherited),
                [(ORDERS, order.action), (OUTGOING, refusal_id(order.digests[0])), (CALLED_OFF, order.action)],
                urgent=verified.lets_go,
            )
        except FullError:
            full = failure_pb2.Failure(reason="STORE_FULL", message="its disk is nearly full", retryable=True)
            return await self.refuse(order.action, order.digests[0], full)

    async def refuse(self, action: str, digest: str, failure: failure_pb2.Failure) -> Arrival:
        """Answer a body that does not hold, unless it is known: then its own answer counts."""

        def decide(view: View) -> Arrival:
            if known := self._known(view, action, digest):
                return known
            self._receipt(view, refused(action, failure), digest, refusal_id(digest))
            return Arrival.REFUSED

        return await self.durably(decide, [(ORDERS, action), (OUTGOING, refusal_id(digest))])

    def _known(self, view: View, action: str, digest: str) -> Arrival | None:
        """Answer a body that came before once more; None if it didn't."""
        order = view.get(ORDERS, action)
        if order and digest in order.digests:
            self._again(view, order.answers)
            return Arrival.KNOWN
        if view.get(OUTGOING, refusal_id(digest)):
            self._again(view, [refusal_id(digest)])
            return Arrival.REFUSED
        return None

    def _again(self, view: View, ids: Sequence[str]) -> None:
        view.expect((OUTGOING, own_id) for own_id in ids)
        for own_id in ids:
            view.put(OUTGOING, replace(view.need(OUTGOING, own_id), stored=False))

    async def _inherited(self, verified: VerifiedWarrant) -> bool:
        """Tell whether a release by hand names an action that only marks tell of. An undo of one is not possible."""
        if verified.warrant.undo_of or not verified.takes_back:
            return False
        tail = "WHERE owner = ? AND inherited > 0 LIMIT 1"
        return bool(await self.store.select(OWNERS, tail, (verified.takes_back,)))

    def _arrive(self, view: View, order: Order, verified: VerifiedWarrant, *, inherited: bool) -> Arrival:
        (digest,) = order.digests
        if known := self._known(view, order.action, digest):
            return known
        if older := view.get(ORDERS, order.action):
            self._other_bytes(view, older, digest)
            return Arrival.OTHER
        view.put(ORDERS, order)
        self._know(view)
        end = self._untimely(view, verified.warrant) or self._calls_off(view, verified, inherited=inherited)
        if end:
            self._answer(view, end)
            return Arrival.KNOWN
        return Arrival.NEW

    def _other_bytes(self, view: View, order: Order, digest: str) -> None:
        """Answer a second body for an action with a receipt of its own that says the same, now or at its end."""
        own: tuple[str, ...] = ()
        if order.stage is Stage.ENDED:
            said = receipt_pb2.Receipt.FromString(view.need(OUTGOING, order.answers[-1]).body)
            for name in ("id", "warrant_digest", "time"):
                said.ClearField(name)
            own = (self._receipt(view, said, digest, self.new_id()),)
        view.put(ORDERS, replace(order, digests=(*order.digests, digest), answers=(*order.answers, *own)))

    def _untimely(self, view: View, warrant: warrant_pb2.Warrant) -> receipt_pb2.Receipt | None:
        """Return the receipt of what may not be begun now or any more."""
        if off := view.get(CALLED_OFF, warrant.action):
            disposition, by = receipt_pb2.DISPOSITION_SUPERSEDED, off.taken_by
            return receipt_pb2.Receipt(action=warrant.action, disposition=disposition, superseded_by=by)
        if self.time.now() >= when(warrant.expire_time):
            return receipt_pb2.Receipt(action=warrant.action, disposition=receipt_pb2.DISPOSITION_EXPIRED)
        if self.time.behind:
            behind = failure_pb2.Failure(reason="CLOCK_BEHIND", message="its clock is behind", retryable=True)
            return refused(warrant.action, behind)
        return None

    def _calls_off(self, view: View, verified: VerifiedWarrant, *, inherited: bool) -> receipt_pb2.Receipt | None:
        """Journal the name of the action that is taken back: if it has not ended, it is never begun, or stopped."""
        named = verified.takes_back
        if not named:
            return None
        older = view.get(ORDERS, named)
        if older is None or older.stage is not Stage.ENDED:
            view.put(CALLED_OFF, CalledOff(named, verified.action))
        if older is None and not inherited:
            return refused(verified.action, because("JOURNAL_LOST", "the journal does not know what to take back"))
        return None

    async def cancel(self, action: str) -> None:
        """End an action that has not begun; one that has is to stop, and a crash does not forget that."""

        def decide(view: View) -> None:
            order = view.get(ORDERS, action)
            if order and order.stage is Stage.ACCEPTED:
                self._answer(view, receipt_pb2.Receipt(action=action, disposition=receipt_pb2.DISPOSITION_CANCELED))
            elif order and order.stage is Stage.BEGUN:
                view.put(ORDERS, replace(order, canceled=True))

        await self.durably(decide)
