"""Quarantine an attachment: it goes to the vault, a notice takes its place, and all else of the message stays.

A message that is changed is another to IMAP: the copies with the notice take the places, flags and dates of the old.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta

from quell.remediation.v1 import email_pb2, failure_pb2, item_pb2, remediation_pb2, target_pb2

from quell_email.domain.attachments import Wanted
from quell_email.domain.mailboxes import Sight
from quell_email.domain.selection import Criterion, key_of, names, names_of
from quell_email.effects.attachment_record import AttachmentRecord
from quell_email.effects.attachment_search import AttachmentSearch, Sought, notes_of, sought_of, wanted_of
from quell_email.effects.choosing import Choosing, each_mailbox, planned
from quell_email.effects.findings import hindered, left_alone
from quell_email.effects.replacing import KIND, Replacing
from quell_email.vault.records import OURS, Kept, KeptState
from quell_executor.effect import Finding, Mark, Plan, PlannedItem, Progress

QUARANTINE = "quarantine_messages"
ABSENT = failure_pb2.Failure(reason="ATTACHMENT_NOT_FOUND", message="the message has no such attachment")
PURGED = failure_pb2.Failure(reason="ATTACHMENT_PURGED", message="it was kept for its time, and is gone for good")


@dataclass(frozen=True, slots=True)
class _Before:
    """What a plan keeps of an item: what is wanted of it, or why nothing is done."""

    wanted: Wanted
    refused: str = ""
    absent: bool = False

    def dump(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def of(cls, item: PlannedItem) -> "_Before":
        plain = json.loads(item.before)
        return cls(Wanted(**plain["wanted"]), plain["refused"], plain["absent"])


class QuarantineAttachment:
    """The effect. Items are messages as they were, by mailbox and digest, with all their copies, sent ones included."""

    def __init__(self, replacing: Replacing, choosing: Choosing, keep: timedelta) -> None:
        """Change messages by `replacing`; attachments are kept for a time."""
        self._replacing = replacing
        self._mailboxes = replacing.mailboxes
        self._vault = replacing.vault
        self._search = AttachmentSearch(replacing, choosing)
        self._keep = keep

    async def plan(self, order: email_pb2.QuarantineAttachment, within: Sequence[item_pb2.Item] | None) -> Plan:
        """Find the messages that have the attachment, and those that it was taken out of, or only those `within`."""
        sought = await self._search.search(order, within)
        asked = names(order.messages)
        items = tuple(_planned(one, asked, wanted_of(order)) for one in sought)
        return Plan(items, asked, notes=notes_of(sought))

    async def apply(self, plan: Plan, progress: Progress) -> None:
        """Take the attachment out of what has it, or put it back; what can't be is left and seen by the probe."""
        done = 0

        async def work(mailbox: str, items: Sequence[PlannedItem]) -> None:
            nonlocal done
            for item in items:
                if plan.reverts:
                    await self._replacing.give_back(mailbox, item)
                else:
                    purge_time = self._replacing.clock.now() + self._keep
                    await self._replacing.take(plan.action, item, _Before.of(item).wanted, purge_time)
                done += 1
                progress.report(f"{done} of {len(plan.items)} messages", percent=done * 100 // len(plan.items))

        await each_mailbox([item for item in plan.items if not _Before.of(item).refused], work)

    async def probe(self, plan: Plan) -> Sequence[Finding]:
        """Look in the mailboxes and in the vault."""
        found: dict[str, Finding] = {}

        async def work(mailbox: str, items: Sequence[PlannedItem]) -> None:
            records: dict[str, list[Kept]] = defaultdict(list)
            for record in await self._vault.of(KIND, [item.key for item in items]):
                records[record.key].append(record)
            changed = [AttachmentRecord.load(one.before).changed for some in records.values() for one in some]
            digests = {*changed, *(item.item.message.sha256 for item in items)}
            sight = await self._mailboxes.look(mailbox, digests, sent=True)
            for item in items:
                if plan.reverts:
                    found[item.key] = await self._put_back(mailbox, item, sight, records[item.key])
                else:
                    found[item.key] = _taken(item, sight, records[item.key])

        await each_mailbox(plan.items, work)
        return [found[item.key] for item in plan.items]

    async def plan_revert(self, plan: Plan) -> Plan:
        """Plan to put back; what hinders one is found by the probe, at the time."""
        return replace(plan, reverts=True)

    async def marks(self) -> Sequence[Mark]:
        """Read the records of what the vault has, but for messages that were never changed."""
        found = []
        for kept in await self._vault.held(KIND):
            sha256 = kept.item.message.sha256
            if sha256 not in (await self._mailboxes.look(kept.mailbox, [sha256], sent=True)).visible:
                found.append(_mark(kept))
        return found

    async def _put_back(self, mailbox: str, item: PlannedItem, sight: Sight, records: Sequence[Kept]) -> Finding:
        digest = item.item.message.sha256
        ours = [record for record in records if record.state in OURS]
        for record in ours:
            if hindrance := await self._hindrance(mailbox, record, sight):
                return hindered(hindrance)
        if ours:
            return Finding(item_pb2.ITEM_STATE_PLANNED)
        if digest in sight.visible:
            return Finding(item_pb2.ITEM_STATE_DONE)
        purged = bool(records) and records[-1].state is KeptState.PURGED
        return Finding(item_pb2.ITEM_STATE_MISSING, PURGED if purged else None)

    async def _hindrance(self, mailbox: str, kept: Kept, sight: Sight) -> str:
        """Return why what was taken out can't be put back exactly; empty if it can, or is back."""
        record = AttachmentRecord.load(kept.before)
        if record.changed in sight.visible:
            if await self._vault.has(record.contents) != record.contents:
                return "CONTENT_LOST"
            places = await self._mailboxes.places(mailbox, [record.changed], sent=True)
            return await self._mailboxes.hindrance(mailbox, places.get(record.changed, ()))
        if kept.item.message.sha256 in sight.visible:
            return ""
        return await self._whereabouts(mailbox, kept, record, sight)

    async def _whereabouts(self, mailbox: str, kept: Kept, record: AttachmentRecord, sight: Sight) -> str:
        """Return what became of a changed message that is no longer in sight."""
        key = key_of(mailbox, record.changed)
        if any(one.state in OURS for one in await self._vault.of(KIND, [key])):
            return "NOT_THE_NEWEST"
        if record.changed in sight.held or any(one.state in OURS for one in await self._vault.of(QUARANTINE, [key])):
            return "MESSAGE_HELD"
        message_id = kept.item.message.message_id
        if message_id and await self._mailboxes.find(mailbox, [Criterion(message_id=message_id)], sent=True):
            return "MESSAGE_EDITED"
        return "MESSAGE_GONE"


def _taken(item: PlannedItem, sight: Sight, records: Sequence[Kept]) -> Finding:
    before, digest = _Before.of(item), item.item.message.sha256
    if before.refused:
        return left_alone(before.refused)
    if before.absent:
        return Finding(item_pb2.ITEM_STATE_MISSING, ABSENT)
    if digest in sight.visible:
        return Finding(item_pb2.ITEM_STATE_PLANNED)
    if any(record.state is not KeptState.RELEASED for record in records):
        return Finding(item_pb2.ITEM_STATE_DONE)
    return left_alone("MESSAGE_SOFT_DELETED") if digest in sight.held else Finding(item_pb2.ITEM_STATE_MISSING)


def _planned(sought: Sought, asked: frozenset[str], wanted: Wanted) -> PlannedItem:
    item = planned(sought.chosen, asked, _Before(wanted, sought.chosen.refused, sought.absent).dump())
    if not sought.changed:
        return item
    # Whoever means the changed message means this one.
    mailbox, message = sought.chosen.mailbox, sought.chosen.message
    more = {key_of(mailbox, sought.changed), *names_of(mailbox, sought.changed, message.message_id)}
    return replace(item, names=item.names | more)


def _mark(kept: Kept) -> Mark:
    message, record = kept.item.message, AttachmentRecord.load(kept.before)
    named = target_pb2.MessageRef(mailbox=message.mailbox, sha256=message.sha256)
    selector = target_pb2.MessageSelector(messages=target_pb2.MessageList(messages=[named]))
    said = {name: value for name, value in asdict(record.wanted).items() if value}
    order = email_pb2.QuarantineAttachment(messages=selector, **said)
    item = _planned(sought_of(kept), names(selector), record.wanted)
    return Mark(kept.action, remediation_pb2.Remediation(quarantine_attachment=order), item)
