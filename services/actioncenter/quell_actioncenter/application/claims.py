"""Claiming: warrants are sealed and kept in the commit that makes their actions DISPATCHED, before a byte is sent."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from quell.actioncenter.v1 import action_pb2, control_service_pb2
from quell.executor.v1 import target_report_pb2
from quell.warrant.v1 import preview_pb2, warrant_pb2

from quell_actioncenter.application.answers import Executor
from quell_actioncenter.application.births import InForce
from quell_actioncenter.application.book import CENTER, CHANGES, Book, Note
from quell_actioncenter.domain.lifecycle import DECIDED, Event, State
from quell_actioncenter.domain.records import ActionRecord, OutboxRecord
from quell_actioncenter.signing.seals import Seals
from quell_actioncenter.store.tables import FREEZES, OUTBOX, TARGETS
from quell_runtime.sealing import key_id_of
from quell_runtime.seams import stamp, when
from quell_runtime.store import replace

FREEZE = "freeze"
"""Key of the one freeze."""


def frozen(status: control_service_pb2.FreezeStatus | None, row: OutboxRecord) -> bool:
    """Tell whether a freeze stops a row: what changes the world, of a kind in its scope; undo and release pass."""
    return (
        status is not None and status.frozen and row.order == CHANGES and (not status.kinds or row.kind in status.kinds)
    )


@dataclass(frozen=True, slots=True)
class Claims:
    """Claims for one executor."""

    seals: Seals
    executor: Executor

    def claim(self, book: Book, in_force: InForce, names: Sequence[str]) -> None:
        """Seal what can still be sent, with one signature, and note it; leave the rest as it is."""
        book.expect(names)
        book.view.expect([(FREEZES, FREEZE), *((TARGETS, row.device) for row in _rows(book, names) if row.device)])
        claimed = [
            (record, self._warrant(book, in_force, record))
            for row in _rows(book, names)
            if (record := self._sendable(book, row)) is not None
        ]
        bodies = [warrant.SerializeToString(deterministic=True) for _, warrant in claimed]
        for (record, warrant), sealed in zip(claimed, self.seals.warrants(bodies), strict=True):
            record = replace(  # noqa: PLW2901 - the same one, sealed
                record,
                warrant_digest=hashlib.sha256(sealed.body).digest(),
                seal_key=warrant.target_key or warrant.executor_key,
            )
            book.move(record, Event.CLAIMED, Note(CENTER, sealed=sealed), lambda action: _dispatched(book, action))
            row = book.view.need(OUTBOX, record.name)
            book.view.put(OUTBOX, replace(row, sealed=sealed.SerializeToString()))

    def _sendable(self, book: Book, row: OutboxRecord) -> ActionRecord | None:
        record = book.action(row.action)
        freeze = book.view.get(FREEZES, FREEZE)
        if record is None or State(record.state) not in DECIDED or frozen(freeze.status if freeze else None, row):
            return None
        target = book.view.get(TARGETS, row.device) if row.device else None
        if target is not None and target.state > target_report_pb2.TARGET_STATE_AWAY:
            return None
        return record if when(record.action.target_expire_time) > book.now else None

    def _warrant(self, book: Book, in_force: InForce, record: ActionRecord) -> warrant_pb2.Warrant:
        action = record.action
        target = book.view.get(TARGETS, record.device) if record.device else None
        most = in_force.policy.max_items.get(record.kind, 0)
        if record.preview:
            most = preview_pb2.Preview.FromString(record.preview).max_items
        return warrant_pb2.Warrant(
            action=action.name,
            deployment=self.seals.deployment,
            executor_key=self.executor.fingerprint,
            target_key=key_id_of(target.identity_key) if target else b"",
            sequence=action.sequence,
            issue_time=stamp(book.now),
            expire_time=action.target_expire_time,
            revert_time=action.revert_time if action.HasField("revert_time") else None,
            remediation=action.remediation,
            snapshot_digest=bytes.fromhex(action.snapshot_digest),
            snapshot_count=action.snapshot_count,
            max_items=most,
            undo_of=action.undo_of,
            preview=record.preview,
            approvals=[vote.approval for vote in action.votes if vote.HasField("approval")],
        )


def _rows(book: Book, names: Sequence[str]) -> list[OutboxRecord]:
    return [row for name in names if (row := book.view.get(OUTBOX, name))]


def _dispatched(book: Book, action: action_pb2.Action) -> None:
    action.dispatch_time.CopyFrom(stamp(book.now))
