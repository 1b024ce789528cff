"""The audit log: every change is an entry, chained by hash, written in the transaction of the change itself.

The entries whose resource is an action are that action's history; there is no second log.
"""

import hashlib
from datetime import datetime

from google.protobuf.message import Message
from quell.actioncenter.v1 import action_event_pb2, audit_service_pb2

from quell_actioncenter.domain.records import CounterRecord, EventRecord
from quell_actioncenter.store.tables import COUNTERS, EVENTS
from quell_runtime.seams import stamp
from quell_runtime.store import View

CHAIN = "audit"
BEGINNING = bytes(32)
"""What stands for the hash before the first entry."""


def append(view: View, now: datetime, actor: str, event: str, resource: str, detail: Message | None = None) -> int:
    """Append an entry and return its number; `detail` is what there is to say beyond who, what and when."""
    last = view.get(COUNTERS, CHAIN) or CounterRecord(CHAIN, 0, BEGINNING)
    number = last.value + 1
    entry = audit_service_pb2.AuditEntry(
        number=number,
        time=stamp(now),
        actor=actor,
        event=event,
        resource=resource,
        payload=detail.SerializeToString() if detail else b"",
    )
    payload = entry.SerializeToString(deterministic=True)
    digest = hashlib.sha256(payload).digest()
    chained = link(last.digest, number, digest)
    view.put(COUNTERS, CounterRecord(CHAIN, number, chained))
    view.put(EVENTS, EventRecord(number, now, actor, event, resource, payload, digest, chained))
    return number


def link(before: bytes, number: int, payload_digest: bytes) -> bytes:
    """Return the hash of an entry from the one before."""
    return hashlib.sha256(before + number.to_bytes(8) + payload_digest).digest()


def holds(entry: EventRecord, before: bytes) -> bool:
    """Tell whether an entry is what was written: its payload, its columns, and its place after `before`.

    A payload whose retention is over is gone; then its digest still holds the chain.
    """
    if entry.hash != link(before, entry.number, entry.payload_digest):
        return False
    if not entry.payload:
        return True
    if hashlib.sha256(entry.payload).digest() != entry.payload_digest:
        return False
    told = audit_service_pb2.AuditEntry.FromString(entry.payload)
    return (told.number, told.time, told.actor, told.event, told.resource) == (
        entry.number,
        stamp(entry.time),
        entry.actor,
        entry.event,
        entry.resource,
    )


def entry_of(record: EventRecord) -> audit_service_pb2.AuditEntry:
    """Return an entry as the contract shows it."""
    return audit_service_pb2.AuditEntry(
        number=record.number,
        time=stamp(record.time),
        actor=record.actor,
        event=record.event,
        resource=record.resource,
        payload=record.payload,
        payload_digest=record.payload_digest,
        hash=record.hash,
    )


def action_event_of(record: EventRecord) -> action_event_pb2.ActionEvent:
    """Return an entry of an action's history; what it lost with its payload's retention stays empty."""
    told = audit_service_pb2.AuditEntry.FromString(record.payload)
    return action_event_pb2.ActionEvent.FromString(told.payload)
