"""Soft delete: messages leave their users' sight and can be put back exactly."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from quell.remediation.v1 import email_pb2, failure_pb2, item_pb2, remediation_pb2, target_pb2

from quell_email.domain.mailboxes import Found, Held, Mailboxes, Place, Sight
from quell_email.domain.selection import SENT, Criterion, address_of, again, criteria, key_of, names, names_of
from quell_executor.effect import Finding, Mark, Plan, PlannedItem, Progress, RefusedError

AT_ONCE = 4
"""Mailboxes that are worked on at a time: fsyncs of different folders overlap."""
BATCH = 1000
PURGED = failure_pb2.Failure(reason="MESSAGE_PURGED", message="it was held for its time, and is gone for good")
OBSTACLES = {
    "FOLDER_GONE": "its folder is no longer there",
    "NAME_TAKEN": "another message has its place",
    "MESSAGE_CHANGED": "the message that we hold was changed",
    "KEYWORD_GONE": "its folder no longer knows one of its keywords",
    "RECORD_LOST": "the record of where it was is lost",
}


@dataclass(frozen=True, slots=True)
class _Before:
    """What a plan keeps of an item: the copies, what was asked, and whether anybody can tell that it is meant."""

    places: tuple[Place, ...]
    sent: bool
    undecided: bool = False

    def dump(self) -> bytes:
        places = [place.plain() for place in self.places]
        return json.dumps({"places": places, "sent": self.sent, "undecided": self.undecided}).encode()


class SoftDeleteMessages:
    """The effect. Items are messages by mailbox and digest, with all their copies."""

    def __init__(self, mailboxes: Mailboxes) -> None:
        """Work on these mailboxes."""
        self._mailboxes = mailboxes

    async def plan(self, order: email_pb2.SoftDeleteMessages, within: Sequence[item_pb2.Item] | None) -> Plan:
        """Find the messages, or only those `within`: again by digest, wherever in their mailbox they are now."""
        sent = order.include_sent_copies
        if within is not None:
            found = await self._find_again([item.message for item in within], again(order.messages), sent=sent)
        else:
            found = await self._find_all(criteria(order.messages), sent=sent)
        asked = names(order.messages)
        return Plan(tuple(_planned(mailbox, message, asked, sent=sent) for mailbox, message in found), asked)

    async def apply(self, plan: Plan, progress: Progress) -> None:
        """Take what is still in sight, or put back; what can't be is left and seen by the probe."""
        done = 0

        async def work(mailbox: str, items: Sequence[PlannedItem]) -> None:
            nonlocal done
            for start in range(0, len(items), BATCH):
                some = items[start : start + BATCH]
                digests = [item.item.message.sha256 for item in some]
                if plan.reverts:
                    await self._mailboxes.put_back(mailbox, digests)
                else:
                    await self._mailboxes.take(mailbox, digests, plan.action or "none", sent=_sent(some))
                done += len(some)
                progress.report(f"{done} of {len(plan.items)} messages", percent=done * 100 // len(plan.items))

        await _each_mailbox([item for item in plan.items if not json.loads(item.before)["undecided"]], work)

    async def probe(self, plan: Plan) -> Sequence[Finding]:
        """Look in the mailboxes and in what we hold."""
        found: dict[str, Finding] = {}

        async def work(mailbox: str, items: Sequence[PlannedItem]) -> None:
            digests = [item.item.message.sha256 for item in items]
            sight = await self._mailboxes.look(mailbox, digests, sent=_sent(items))
            hinders = await self._mailboxes.obstacles(mailbox, sight.held) if plan.reverts and sight.held else {}
            for item, digest in zip(items, digests, strict=True):
                found[item.key] = _reverted(digest, sight, hinders) if plan.reverts else _taken(item, sight)

        await _each_mailbox(plan.items, work)
        return [found[item.key] for item in plan.items]

    async def plan_revert(self, plan: Plan) -> Plan:
        """Plan to put back; what hinders one is found by the probe, at the time."""
        return replace(plan, reverts=True)

    async def marks(self) -> Sequence[Mark]:
        """Read the records of what we hold."""
        return [
            _mark(mailbox, held)
            for mailbox in sorted(await self._mailboxes.addresses())
            for held in await self._mailboxes.held(mailbox)
        ]

    async def _find_all(self, wanted: Sequence[Criterion], *, sent: bool) -> list[tuple[str, Found]]:
        known = await self._mailboxes.addresses()
        for one in wanted:
            if one.mailboxes and not one.mailboxes <= set(known):
                raise RefusedError("MAILBOX_UNKNOWN", "a mailbox that the order names is not here")
        asked = {
            mailbox: [one for one in wanted if one.mailboxes is None or mailbox in one.mailboxes]
            for mailbox in sorted(known)
        }
        found = await self._find({mailbox: ones for mailbox, ones in asked.items() if ones}, sent=sent)
        for one in wanted:
            for mailbox in one.mailboxes or () if one.sha256 else ():
                found.setdefault((mailbox, one.sha256), Found(one.sha256, "", "", ()))
        return [(mailbox, message) for (mailbox, _), message in found.items()]

    async def _find_again(
        self, listed: Sequence[item_pb2.MessageItem], base: Criterion, *, sent: bool
    ) -> list[tuple[str, Found]]:
        asked: dict[str, list[Criterion]] = defaultdict(list)
        for message in listed:
            asked[address_of(message.mailbox)].append(replace(base, sha256=message.sha256))
        found = await self._find(asked, sent=sent)
        items = []
        for message in listed:
            mailbox = address_of(message.mailbox)
            gone = Found(message.sha256, message.message_id, message.subject, ())
            items.append((mailbox, found.get((mailbox, message.sha256), gone)))
        return items

    async def _find(self, asked: dict[str, list[Criterion]], *, sent: bool) -> dict[tuple[str, str], Found]:
        turn = asyncio.Semaphore(AT_ONCE)

        async def one(mailbox: str, wanted: Sequence[Criterion]) -> Sequence[Found]:
            async with turn:
                return await self._mailboxes.find(mailbox, wanted, sent=sent)

        answers = await asyncio.gather(*(one(mailbox, wanted) for mailbox, wanted in asked.items()))
        return {
            (mailbox, message.sha256): message
            for mailbox, messages in zip(asked, answers, strict=True)
            for message in messages
        }


def _mark(mailbox: str, held: Held) -> Mark:
    # A copy from among what its user has sent is only taken where such copies are meant.
    sent = any(place.folder.rpartition("/")[2].casefold() in SENT for place in held.message.places)
    named = target_pb2.MessageRef(mailbox=f"mailboxes/{mailbox}", sha256=held.message.sha256)
    selector = target_pb2.MessageSelector(messages=target_pb2.MessageList(messages=[named]))
    order = email_pb2.SoftDeleteMessages(messages=selector, include_sent_copies=sent)
    item = _planned(mailbox, held.message, names(selector), sent=sent)
    return Mark(held.action, remediation_pb2.Remediation(soft_delete_messages=order), item)


def _planned(mailbox: str, message: Found, asked: frozenset[str], *, sent: bool) -> PlannedItem:
    item = item_pb2.MessageItem(
        mailbox=f"mailboxes/{mailbox}",
        folder=message.places[0].folder if message.places else "",
        sha256=message.sha256,
        message_id=message.message_id,
        subject=message.subject,
    )
    before = _Before(message.places, sent, message.undecided)
    named = names_of(mailbox, message.sha256, message.message_id) | asked
    return PlannedItem(key_of(mailbox, message.sha256), item_pb2.Item(message=item), before.dump(), named)


def _sent(items: Sequence[PlannedItem]) -> bool:
    return any(json.loads(item.before)["sent"] for item in items[:1])


def _taken(item: PlannedItem, sight: Sight) -> Finding:
    digest = item.item.message.sha256
    if json.loads(item.before)["undecided"]:
        message = "it can't be parsed, so nobody can tell whether it is meant: look at it by hand"
        return Finding(item_pb2.ITEM_STATE_REFUSED, failure_pb2.Failure(reason="MESSAGE_UNPARSABLE", message=message))
    if digest in sight.visible:
        return Finding(item_pb2.ITEM_STATE_PLANNED)
    return Finding(item_pb2.ITEM_STATE_DONE if digest in sight.held | sight.purged else item_pb2.ITEM_STATE_MISSING)


def _reverted(digest: str, sight: Sight, hinders: Mapping[str, str]) -> Finding:
    if obstacle := hinders.get(digest, ""):
        failure = failure_pb2.Failure(reason=obstacle, message=OBSTACLES.get(obstacle, ""))
        return Finding(item_pb2.ITEM_STATE_CONFLICT, failure)
    if digest in sight.held:
        return Finding(item_pb2.ITEM_STATE_PLANNED)
    if digest in sight.visible:
        return Finding(item_pb2.ITEM_STATE_DONE)
    return Finding(item_pb2.ITEM_STATE_MISSING, PURGED if digest in sight.purged else None)


async def _each_mailbox(
    items: Sequence[PlannedItem], work: Callable[[str, Sequence[PlannedItem]], Awaitable[None]]
) -> None:
    """Do the work of each mailbox with its items, some mailboxes at a time."""
    grouped: dict[str, list[PlannedItem]] = defaultdict(list)
    for item in items:
        grouped[address_of(item.item.message.mailbox)].append(item)
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(mailbox: str, some: Sequence[PlannedItem]) -> None:
        async with turn:
            await work(mailbox, some)

    ends = await asyncio.gather(*(one(mailbox, some) for mailbox, some in grouped.items()), return_exceptions=True)
    for end in ends:
        # Only now: what failed in one mailbox is no reason to leave the others half done.
        if end is not None:
            raise end
