"""Quarantine: messages leave their mailboxes for the vault, where they can be looked at, and released exactly."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from quell.remediation.v1 import email_pb2, item_pb2, remediation_pb2, target_pb2

from quell_email.domain.mailboxes import Found, Sight
from quell_email.domain.selection import address_of, criteria, names
from quell_email.effects.choosing import Choosing, Chosen, each_mailbox, in_batches, notes, planned
from quell_email.effects.findings import PURGED, hindered, left_alone
from quell_email.effects.quarantine_record import QuarantineRecord, places_of
from quell_email.effects.taking import Taking, Wanted
from quell_email.threads import finished
from quell_email.vault.records import OURS, Kept, KeptState
from quell_executor.effect import Finding, Mark, Plan, PlannedItem, Progress, RefusedError
from quell_runtime.seams import Clock, micros, moment, stamp, when

KIND = "quarantine_messages"
BATCH = 256


@dataclass(frozen=True, slots=True)
class _Records:
    """What the vault knows of some item keys, and which bytes lie there."""

    by_key: Mapping[str, Sequence[Kept]]
    contents: frozenset[str]

    def ours(self, key: str) -> list[Kept]:
        return [record for record in self.by_key.get(key, ()) if record.state in OURS]

    def purged(self, key: str) -> bool:
        return bool(self.by_key.get(key)) and self.by_key[key][-1].state is KeptState.PURGED


class QuarantineMessages:
    """The effect. Items are messages by mailbox and digest, with all their copies."""

    def __init__(self, taking: Taking, choosing: Choosing, clock: Clock, keep: timedelta) -> None:
        """Take by `taking`; what no order says a time of is kept for `keep`."""
        self.taking = taking
        self._mailboxes = taking.mailboxes
        self._vault = taking.vault
        self._choosing = choosing
        self._clock = clock
        self._keep = keep

    async def plan(self, order: email_pb2.QuarantineMessages, within: Sequence[item_pb2.Item] | None) -> Plan:
        """Find the messages, in mailboxes and in the vault, or only those `within`."""
        purge_time = self._purge_time(order)
        asked = names(order.messages)
        chosen = await self._choosing.choose(order.messages, within, sent=False)
        if within is None:
            chosen += await self._in_vault(order.messages, {(one.mailbox, one.message.sha256) for one in chosen})
        items = tuple(planned(one, asked, _before(one.refused, purge_time)) for one in chosen)
        return Plan(items, asked, notes=notes(chosen))

    async def apply(self, plan: Plan, progress: Progress) -> None:
        """Take what is still in sight, or give back; what can't be is left and seen by the probe."""

        async def work(mailbox: str, some: Sequence[PlannedItem]) -> None:
            if plan.reverts:
                await self._give_back(mailbox, some)
            else:
                await self.taking.take(KIND, plan.action, mailbox, [Wanted(one, _purge_time(one)) for one in some])

        await in_batches(plan, [item for item in plan.items if not _refused(item)], BATCH, progress, work)

    async def probe(self, plan: Plan) -> Sequence[Finding]:
        """Look in the mailboxes and in the vault."""
        found: dict[str, Finding] = {}

        async def work(mailbox: str, items: Sequence[PlannedItem]) -> None:
            sight = await self._mailboxes.look(mailbox, [item.item.message.sha256 for item in items], sent=False)
            records = await self._records(items)
            if plan.reverts:
                hinders = await self._hindrances(mailbox, items, records)
                found.update({item.key: _given_back(item, sight, records, hinders.get(item.key, "")) for item in items})
            else:
                found.update({item.key: _taken(item, sight, records) for item in items})

        await each_mailbox(plan.items, work)
        return [found[item.key] for item in plan.items]

    async def plan_revert(self, plan: Plan) -> Plan:
        """Plan to give back; what hinders one is found by the probe, at the time."""
        return replace(plan, reverts=True)

    async def marks(self) -> Sequence[Mark]:
        """Read the records of what the vault has."""
        return [_mark(record) for record in await self._vault.held(KIND)]

    def _purge_time(self, order: email_pb2.QuarantineMessages) -> datetime:
        now = self._clock.now()
        purge_time = when(order.purge_time) if order.HasField("purge_time") else now + self._keep
        if purge_time <= now:
            raise RefusedError("PURGE_TIME_PAST", "they would leave quarantine for good at once")
        return purge_time

    async def _in_vault(self, selector: target_pb2.MessageSelector, known: set[tuple[str, str]]) -> list[Chosen]:
        """Return what the vault has of what is meant, besides what is known."""
        wanted, held = criteria(selector), await self._vault.held(KIND)

        def answering() -> list[Chosen]:
            found: dict[str, Chosen] = {}
            for record in held:
                message, kept = record.item.message, QuarantineRecord.load(record.before)
                if (record.mailbox, message.sha256) not in known and any(
                    kept.answers(one, record.mailbox, message.sha256) for one in wanted
                ):
                    found[record.key] = Chosen(record.mailbox, _found(message, kept))
            return list(found.values())

        return await finished(answering)

    async def _give_back(self, mailbox: str, items: Sequence[PlannedItem]) -> None:
        async with self._vault.giving_back(KIND, [item.key for item in items]) as records:
            by_key = _by_key(records)
            wanted = {group[0].contents[0]: places_of(group) for group in by_key.values()}
            back = await self._mailboxes.add_each(mailbox, wanted, self._vault.read)
            self.taking.point("quarantine.added")
            ended = [record.id for group in by_key.values() for record in group if group[0].contents[0] in back]
            await self._vault.end(ended, KeptState.RELEASED)

    async def _records(self, items: Sequence[PlannedItem]) -> _Records:
        by_key = _by_key(await self._vault.of(KIND, [item.key for item in items]))
        wanted = [sha256 for group in by_key.values() for record in group for sha256 in record.contents]
        return _Records(by_key, frozenset(await self._vault.has(wanted)))

    async def _hindrances(self, mailbox: str, items: Sequence[PlannedItem], records: _Records) -> Mapping[str, str]:
        """Return what hinders giving back, by item key; they are asked about one by one only if any is hindered."""
        places = {item.key: places_of(ours) for item in items if (ours := records.ours(item.key))}
        together = [place for some in places.values() for place in some]
        if not together or not await self._mailboxes.hindrance(mailbox, together):
            return {}
        return {key: await self._mailboxes.hindrance(mailbox, some) for key, some in places.items()}


def _by_key(records: Iterable[Kept]) -> dict[str, list[Kept]]:
    found: dict[str, list[Kept]] = defaultdict(list)
    for record in records:
        found[record.key].append(record)
    return found


def _given_back(item: PlannedItem, sight: Sight, records: _Records, hindrance: str) -> Finding:
    digest = item.item.message.sha256
    if records.ours(item.key):
        if digest not in records.contents:
            return hindered("CONTENT_LOST")
        return hindered(hindrance) if hindrance else Finding(item_pb2.ITEM_STATE_PLANNED)
    if digest in sight.visible:
        return Finding(item_pb2.ITEM_STATE_DONE)
    return Finding(item_pb2.ITEM_STATE_MISSING, PURGED if records.purged(item.key) else None)


def _taken(item: PlannedItem, sight: Sight, records: _Records) -> Finding:
    digest = item.item.message.sha256
    if refused := _refused(item):
        return left_alone(refused)
    if digest in sight.visible:
        return Finding(item_pb2.ITEM_STATE_PLANNED)
    if records.ours(item.key) or records.purged(item.key):
        return Finding(item_pb2.ITEM_STATE_DONE)
    return left_alone("MESSAGE_SOFT_DELETED") if digest in sight.held else Finding(item_pb2.ITEM_STATE_MISSING)


def _before(refused: str, purge_time: datetime) -> bytes:
    return json.dumps({"refused": refused, "purge_us": micros(purge_time)}).encode()


def _refused(item: PlannedItem) -> str:
    return str(json.loads(item.before)["refused"])


def _purge_time(item: PlannedItem) -> datetime:
    return moment(json.loads(item.before)["purge_us"])


def _found(message: item_pb2.MessageItem, kept: QuarantineRecord) -> Found:
    return Found(message.sha256, message.message_id, message.subject, kept.places, headers=kept.headers)


def _mark(record: Kept) -> Mark:
    message = record.item.message
    named = target_pb2.MessageRef(mailbox=message.mailbox, sha256=message.sha256)
    selector = target_pb2.MessageSelector(messages=target_pb2.MessageList(messages=[named]))
    order = email_pb2.QuarantineMessages(messages=selector, purge_time=stamp(record.purge_time))
    chosen = Chosen(address_of(message.mailbox), _found(message, QuarantineRecord.load(record.before)))
    item = planned(chosen, names(selector), _before("", record.purge_time))
    return Mark(record.action, remediation_pb2.Remediation(quarantine_messages=order), item)
