"""Quarantine an attachment: it goes to the vault, a notice takes its place, and all else of the message stays.

A message that is changed is another to IMAP: the copies with the notice take the places, flags and dates of the old.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta

from quell.remediation.v1 import email_pb2, failure_pb2, item_pb2, remediation_pb2, target_pb2

from quell_email.domain.attachments import Wanted
from quell_email.domain.mailboxes import Sight
from quell_email.domain.selection import Criterion, key_of, names, names_of
from quell_email.effects.attachment_record import TakenOut
from quell_email.effects.attachment_search import AttachmentSearch, Sought, notes_of, sought_of, wanted_of
from quell_email.effects.choosing import Choosing, each_mailbox, in_batches, planned
from quell_email.effects.findings import hindered, left_alone
from quell_email.effects.replacing import BATCH, KIND, Replacing
from quell_email.threads import finished
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

        async def work(mailbox: str, some: Sequence[PlannedItem]) -> None:
            if plan.reverts:
                await self._replacing.give_back(mailbox, some)
            else:
                until = self._replacing.clock.now() + self._keep
                wanted = [(item, _Before.of(item).wanted) for item in some]
                await self._replacing.take(plan.action, mailbox, wanted, until)

        await in_batches(plan, [item for item in plan.items if not _Before.of(item).refused], BATCH, progress, work)

    async def probe(self, plan: Plan) -> Sequence[Finding]:
        """Look in the mailboxes and in the vault."""
        found: dict[str, Finding] = {}

        async def work(mailbox: str, items: Sequence[PlannedItem]) -> None:
            kept = await self._vault.of(KIND, [item.key for item in items])
            records: dict[str, list[TakenOut]] = defaultdict(list)
            for one in await finished(lambda: TakenOut.all(kept)):
                records[one.kept.key].append(one)
            changed = {one.record.changed for some in records.values() for one in some}
            digests = changed | {item.item.message.sha256 for item in items}
            sight = await self._mailboxes.look(mailbox, digests, sent=True)
            hinders = await self._hindrances(mailbox, changed & sight.visible) if plan.reverts else {}
            for item in items:
                if plan.reverts:
                    found[item.key] = await self._put_back(mailbox, item, sight, records[item.key], hinders)
                else:
                    found[item.key] = _taken(item, sight, [one.kept for one in records[item.key]])

        await each_mailbox(plan.items, work)
        return [found[item.key] for item in plan.items]

    async def plan_revert(self, plan: Plan) -> Plan:
        """Plan to put back; what hinders one is found by the probe, at the time."""
        return replace(plan, reverts=True)

    async def marks(self) -> Sequence[Mark]:
        """Read the records of what the vault has, but for messages that were never changed."""
        held: dict[str, list[TakenOut]] = defaultdict(list)
        kept = await self._vault.held(KIND)
        for one in await finished(lambda: TakenOut.all(kept)):
            held[one.kept.mailbox].append(one)
        found = []
        for mailbox, some in held.items():
            digests = {one.kept.item.message.sha256 for one in some}
            visible = (await self._mailboxes.look(mailbox, digests, sent=True)).visible
            found += [_mark(one) for one in some if one.kept.item.message.sha256 not in visible]
        return found

    async def _hindrances(self, mailbox: str, changed: Collection[str]) -> dict[str, str]:
        """Return what hinders that the old messages take the places of changed ones, by digest, where anything does."""
        there = await self._mailboxes.places(mailbox, changed, sent=True) if changed else {}
        if not await self._mailboxes.hindrance(mailbox, [place for places in there.values() for place in places]):
            return {}
        return {sha256: await self._mailboxes.hindrance(mailbox, places) for sha256, places in there.items()}

    async def _put_back(
        self, mailbox: str, item: PlannedItem, sight: Sight, records: Sequence[TakenOut], hinders: Mapping[str, str]
    ) -> Finding:
        digest = item.item.message.sha256
        ours = [one for one in records if one.kept.state in OURS]
        for one in ours:
            if one.record.changed in sight.visible:
                lost = await self._vault.has(one.record.contents) != one.record.contents
                reason = "CONTENT_LOST" if lost else hinders.get(one.record.changed, "")
            else:
                reason = "" if digest in sight.visible else await self._whereabouts(mailbox, one, sight)
            if reason:
                return hindered(reason)
        if ours:
            return Finding(item_pb2.ITEM_STATE_PLANNED)
        if digest in sight.visible:
            return Finding(item_pb2.ITEM_STATE_DONE)
        purged = bool(records) and records[-1].kept.state is KeptState.PURGED
        return Finding(item_pb2.ITEM_STATE_MISSING, PURGED if purged else None)

    async def _whereabouts(self, mailbox: str, taken: TakenOut, sight: Sight) -> str:
        """Return what became of a changed message that is no longer in sight."""
        changed = taken.record.changed
        key = key_of(mailbox, changed)
        if any(one.state in OURS for one in await self._vault.of(KIND, [key])):
            return "NOT_THE_NEWEST"
        if changed in sight.held or any(one.state in OURS for one in await self._vault.of(QUARANTINE, [key])):
            return "MESSAGE_HELD"
        message_id = taken.kept.item.message.message_id
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


def _mark(taken: TakenOut) -> Mark:
    message, wanted = taken.kept.item.message, taken.record.wanted
    named = target_pb2.MessageRef(mailbox=message.mailbox, sha256=message.sha256)
    selector = target_pb2.MessageSelector(messages=target_pb2.MessageList(messages=[named]))
    said = {name: value for name, value in asdict(wanted).items() if value}
    order = email_pb2.QuarantineAttachment(messages=selector, **said)
    item = _planned(sought_of(taken), names(selector), wanted)
    return Mark(taken.kept.action, remediation_pb2.Remediation(quarantine_attachment=order), item)
