"""Receipts: what an executor says came of a warrant, believed if it verifies, and then in every state."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from google.protobuf.message import DecodeError
from quell.actioncenter.v1 import action_pb2
from quell.remediation.v1 import outcome_pb2
from quell.warrant.v1 import receipt_pb2, seal_pb2

from quell_actioncenter.application import findings, history, register
from quell_actioncenter.application.births import InForce
from quell_actioncenter.application.book import Book, Note
from quell_actioncenter.application.knowledge import GONE
from quell_actioncenter.application.undoing import can_undo, propose_undo
from quell_actioncenter.domain import receipts
from quell_actioncenter.domain.lifecycle import ENDED, Event, State
from quell_actioncenter.domain.records import OUTCOMES, ActionRecord, chunk_name
from quell_actioncenter.signing.proofs import opened
from quell_actioncenter.store.tables import ACTIONS, ITEM_CHUNKS, TARGETS
from quell_runtime import times
from quell_runtime.kinds import kinds
from quell_runtime.sealing import SealInvalidError, key_id_of
from quell_runtime.seams import when
from quell_runtime.store import replace

TAKEN_BACK = (
    outcome_pb2.EFFECT_STATE_IN_FORCE,
    outcome_pb2.EFFECT_STATE_ALREADY_IN_FORCE,
    outcome_pb2.EFFECT_STATE_TARGET_GONE,
)
"""What the world is found to be after an undo that has nothing left to do."""
MOST_CHUNKS = 4000
"""Of the items of one action: two million."""
MOST_ORPHANS = 1000
ORPHAN_BYTES = 16 << 10
_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ACTION = re.compile("actions/[0-9a-f-]{36}")


@dataclass(slots=True)
class Orphans:
    """Which reports of one stream that nothing here asked for are kept: so many, since each fills the log for good."""

    ids: set[str] = field(default_factory=set)

    def keeps(self, report_id: str, sealed: seal_pb2.Sealed) -> bool:
        """Tell whether a report is kept; asked again about one, it says the same."""
        if len(self.ids) < MOST_ORPHANS and sealed.ByteSize() <= ORPHAN_BYTES:
            self.ids.add(report_id)
        return report_id in self.ids


@dataclass(frozen=True, slots=True)
class Executor:
    """An executor that is connected: its plane and its identity key, as its hello showed and the configuration has."""

    plane: str
    identity_key: bytes
    orphans: Orphans = field(default_factory=Orphans, compare=False)

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the key, as warrants name it."""
        return key_id_of(self.identity_key)


def key_of(book: Book, plane: str, device: str, executor: Executor) -> bytes | None:
    """Return the key whose word counts for a plane and a device, if this executor may bring it; None: nobody's.

    Of a device only its own key counts: the device service is a router, and speaks for nothing but its own plane.
    """
    if plane != executor.plane or (plane == "device" and not device):
        return None
    if not device:
        return executor.identity_key
    target = book.view.get(TARGETS, device)
    return target.identity_key if target and target.state not in GONE else None


def read(sealed: seal_pb2.Sealed) -> receipt_pb2.Receipt | None:
    """Read a receipt before anything of it is believed; None: it is none, or says not what it is and of what."""
    try:
        found = receipt_pb2.Receipt.FromString(sealed.body)
    except DecodeError:
        return None
    return found if is_id(found.id) and _ACTION.fullmatch(found.action) else None


def is_id(text: str) -> bool:
    """Tell whether it can be acknowledged: another word would break the stream that it is said on."""
    return _UUID.fullmatch(text) is not None


def take(book: Book, in_force: InForce, sealed: seal_pb2.Sealed, executor: Executor) -> None:
    """Believe a receipt and do what follows, or keep it as an orphan."""
    told = read(sealed)
    record = book.action(told.action) if told else None
    if told is None or record is None or not _verifies(book, record, sealed, executor):
        orphan(book, sealed, executor)
    elif told.id not in record.receipts:
        Answering(book, in_force, record, told, Note(record.device or executor.plane, sealed=sealed)).apply()


def _verifies(book: Book, record: ActionRecord, sealed: seal_pb2.Sealed, executor: Executor) -> bool:
    key = key_of(book, record.plane, record.device, executor)
    if key is None or key_id_of(key) != record.seal_key:
        return False
    try:
        receipt = opened(sealed, receipt_pb2.Receipt, key)
    except SealInvalidError:
        return False
    return receipt.warrant_digest == record.warrant_digest and not times.impossible(receipt)


def orphan(book: Book, sealed: seal_pb2.Sealed, executor: Executor) -> None:
    """Keep a receipt that nothing here asked for, or that is not proven or makes no sense: it changes nothing."""
    told = read(sealed)
    if told is None or not executor.orphans.keeps(told.id, sealed):
        return
    record = book.action(told.action)
    digest = hashlib.sha256(sealed.SerializeToString(deterministic=True)).hexdigest()
    comment = f"A receipt of other bytes, for nothing that is known, or not proven: {digest}."
    if record is not None:
        book.remark(record, "receipt_orphaned", Note(executor.plane, comment, sealed=sealed))
    else:
        history.append(book.view, book.now, executor.plane, "receipt_orphaned", told.action, sealed)


class Answering:
    """One receipt that verifies, and all that follows from it."""

    def __init__(
        self, book: Book, in_force: InForce, record: ActionRecord, receipt: receipt_pb2.Receipt, note: Note
    ) -> None:
        """Take the action as it is before."""
        self._book = book
        self._in_force = in_force
        self._record = record
        self._receipt = receipt
        self._note = note

    def apply(self) -> None:
        """End the action, or change the outcome of one that has ended, and then what hangs on it."""
        over = register.told_gone(self._book, self._record, when(self._receipt.time))
        record = self._end()
        since = [self._take_over(name, record) for name in self._receipt.takes_over]
        if record.action.undo_of and self._receipt.HasField("outcome"):
            self._take_back(record.action.undo_of, record)
        record = self._book.view.need(ACTIONS, record.name)
        owns = record.action.outcome.effect != outcome_pb2.EFFECT_STATE_ALREADY_IN_FORCE or self._receipt.takes_over
        if not record.action.HasField("outcome"):
            # What was given up is now known not to have been begun.
            register.gone(self._book, record.name)
        elif self._receipt.HasField("outcome") and register.keeps(record) and owns and not over:
            register.found(self._book, record, min((time for time in since if time), default=None))
        if findings.wanted(record) and self._receipt.HasField("outcome") and not self._items_say():
            findings.take(self._book, self._in_force, record, self._chunks())
        if record.fallen and can_undo(self._book, self._in_force, record):
            propose_undo(self._book, self._in_force, record)

    def _end(self) -> ActionRecord:
        record, receipt = self._record, self._receipt
        answer = receipts.answer(receipt, read_only=kinds()[record.kind].read_only)
        # An outcome before the first receipt is our own word, that nothing is known.
        known = record.action.outcome if record.receipts and record.action.HasField("outcome") else None
        outcome = receipts.newer_outcome(known, receipt)
        ended = State(record.state) in ENDED

        def edit(action: action_pb2.Action) -> None:
            done = action.outcome.undo == outcome_pb2.UNDO_STATE_DONE
            action.ClearField("outcome")
            if outcome is not None:
                action.outcome.CopyFrom(outcome)
                if done:
                    action.outcome.undo = outcome_pb2.UNDO_STATE_DONE
            if not ended and answer.failure is not None:
                action.failure.CopyFrom(answer.failure)
            owned = [name for name in receipt.takes_over if self._own(name) and name not in action.takes_over]
            action.takes_over.extend(owned)
            by = self._own(receipt.superseded_by)
            action.superseded_by = action.superseded_by or (by.name if by else "")

        note = replace(self._note, comment=self._items_say())
        told = max(when(receipt.time), record.effect_time or when(receipt.time))
        record = replace(record, receipts=(*record.receipts, receipt.id), effect_time=told)
        if answer.event == Event.NEWER_CAME_FIRST and not ended:
            by = self._own(receipt.superseded_by)
            return self._book.superseded(record, answer.event, note, by.name if by else "", edit)
        return self._book.move(record, answer.event, note, edit)

    def _own(self, name: str) -> ActionRecord | None:
        """Return another action of whoever tells the receipt: nobody speaks for another device, or another plane."""
        found = self._book.action(name) if name and name != self._record.name else None
        own = found and (found.plane, found.device) == (self._record.plane, self._record.device)
        return found if own else None

    def _chunks(self) -> Iterator[bytes]:
        """Yield the chunks of items that the receipt counts, as far as they came."""
        claimed = range(min(self._receipt.item_chunks, MOST_CHUNKS))
        names = [chunk_name(self._record.name, OUTCOMES, index) for index in claimed]
        self._book.view.expect((ITEM_CHUNKS, name) for name in names)
        for name in names:
            chunk = self._book.view.get(ITEM_CHUNKS, name)
            if chunk is None:
                return
            yield chunk.body

    def _items_say(self) -> str:
        """Hold the chunks of items, which are not sealed, against the receipt, which is; say if they differ."""
        bodies = hashlib.sha256()
        for body in self._chunks():
            bodies.update(body)
        if not self._receipt.item_chunks or bodies.digest() == self._receipt.item_digest:
            return ""
        return "The item outcomes that came are not those that the receipt is about."

    def _take_over(self, name: str, by: ActionRecord) -> datetime | None:
        """Note that an older action's effect is the newer's, or was let go by it; return since when it was in force."""
        older = self._own(name)
        if older is None:
            return None
        lets_go = kinds()[by.kind].release

        def edit(action: action_pb2.Action) -> None:
            if not lets_go:
                action.taken_over_by.append(by.name)
                return
            action.undone_by = by.name
            if action.HasField("outcome"):
                action.outcome.undo = outcome_pb2.UNDO_STATE_DONE

        if lets_go and not older.action.undone_by:
            self._count_undone(older)
        event = Event.UNDONE if lets_go else Event.TAKEN_OVER
        if State(older.state) in ENDED:
            self._book.move(older, event, self._note, edit)
        else:
            # Its own receipt is still to come; it will find the effect gone.
            self._book.remark(older, event, self._note, edit)
        return register.gone(self._book, name)

    def _take_back(self, name: str, undo: ActionRecord) -> None:
        """Note on an action what its undo has done."""
        undone = self._book.action(name)
        effect = undo.action.outcome.effect
        # What newer actions answer for is theirs: it is not left of this one.
        items = undo.action.outcome.items
        back = items.done_items + items.unneeded_items + items.missing_items + items.superseded_items
        partly = effect == outcome_pb2.EFFECT_STATE_PARTLY_IN_FORCE
        if partly and back + items.kept_items == items.total_items:
            partly, effect = False, outcome_pb2.EFFECT_STATE_IN_FORCE
        if undone is None or State(undone.state) not in ENDED or not (partly or effect in TAKEN_BACK):
            return

        def edit(action: action_pb2.Action) -> None:
            action.undone_by = undo.name
            if not partly:
                action.outcome.undo = outcome_pb2.UNDO_STATE_DONE

        if not undone.action.undone_by:
            self._count_undone(undone)
        undone = replace(undone, effect_time=when(self._receipt.time))
        undone = self._book.move(undone, Event.UNDONE, self._note, edit)
        if partly:
            register.left(self._book, undone, undo)
        else:
            register.gone(self._book, name)

    def _count_undone(self, record: ActionRecord) -> None:
        if record.investigation:
            self._book.count(record.investigation, {"undone": 1})
