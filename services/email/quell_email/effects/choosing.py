"""Which messages an order means, for every kind that acts on messages; and which of those are left alone."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace

from quell.remediation.v1 import item_pb2, target_pb2

from quell_email.domain.exclusions import Exclusions
from quell_email.domain.mailboxes import Found, Mailboxes
from quell_email.domain.selection import Criterion, address_of, again, criteria, key_of, names_of
from quell_email.effects.findings import UNPARSABLE
from quell_executor.effect import Plan, PlannedItem, Progress, RefusedError

AT_ONCE = 4
"""Mailboxes that are worked on at a time: fsyncs of different folders overlap."""
NOTES = {
    UNPARSABLE: "can't be parsed",
    "EXCLUDED_MAILBOX": "in a mailbox that is excluded",
    "EXCLUDED_SIMULATION": "of a phishing simulation",
    "MESSAGE_TOO_LARGE": "larger than what is worked on",
    "MESSAGE_SIGNED": "signed as they are",
    "MESSAGE_ENCRYPTED": "encrypted, so that nobody can look inside",
    "MESSAGE_PARTIAL": "a piece of a message only",
    "ATTACHMENT_WRAPPED": "encoded as a whole",
    "STRUCTURE_AMBIGUOUS": "read differently by different programs",
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """A message that an order means, in a mailbox; `refused` tells why it is left alone, in upper snake case."""

    mailbox: str
    message: Found
    refused: str = ""


class Choosing:
    """Finds what orders mean."""

    def __init__(self, mailboxes: Mailboxes, exclusions: Exclusions = Exclusions()) -> None:  # noqa: B008 - frozen
        """Look into these mailboxes, and leave what is excluded alone."""
        self._mailboxes = mailboxes
        self._exclusions = exclusions

    async def choose(
        self, selector: target_pb2.MessageSelector, within: Sequence[item_pb2.Item] | None, *, sent: bool
    ) -> list[Chosen]:
        """Return the messages, or only those `within`: again by digest, wherever in their mailbox they are now.

        What is named by its digest in a mailbox, and is not there, has no places.

        Raises:
            RefusedError: A mailbox or a location can't be told.

        """
        if within is not None:
            found = await self._find_again([item.message for item in within], again(selector), sent=sent)
        else:
            found = await self._find_all(criteria(selector), sent=sent)
        return [Chosen(mailbox, message, self._refused(mailbox, message)) for mailbox, message in found]

    def _refused(self, mailbox: str, message: Found) -> str:
        return self._exclusions.reason(mailbox, message.headers) or (UNPARSABLE if message.undecided else "")

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


def planned(chosen: Chosen, asked: frozenset[str], before: bytes) -> PlannedItem:
    """Return the item of a plan; `asked` are the keys of what the order named."""
    message = chosen.message
    item = item_pb2.MessageItem(
        mailbox=f"mailboxes/{chosen.mailbox}",
        folder=message.places[0].folder if message.places else "",
        sha256=message.sha256,
        message_id=message.message_id,
        subject=message.subject,
    )
    named = names_of(chosen.mailbox, message.sha256, message.message_id) | asked
    return PlannedItem(key_of(chosen.mailbox, message.sha256), item_pb2.Item(message=item), before, named)


def notes(chosen: Sequence[Chosen]) -> tuple[str, ...]:
    """Return what people are told of those that are left alone."""
    numbers = Counter(one.refused for one in chosen if one.refused)
    return tuple(
        f"{number} of these will be left alone, {NOTES[reason]} ({reason})"
        for reason, number in sorted(numbers.items())
    )


async def each_mailbox(
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

    await all_ended(one(mailbox, some) for mailbox, some in grouped.items())


async def in_batches(
    plan: Plan,
    items: Sequence[PlannedItem],
    most: int,
    progress: Progress,
    work: Callable[[str, Sequence[PlannedItem]], Awaitable[None]],
) -> None:
    """Do the work of a plan's items, at most so many of a mailbox at once, and tell how far it is."""
    done = 0

    async def of_mailbox(mailbox: str, ours: Sequence[PlannedItem]) -> None:
        nonlocal done
        for start in range(0, len(ours), most):
            some = ours[start : start + most]
            await work(mailbox, some)
            done += len(some)
            progress.report(f"{done} of {len(plan.items)} messages", percent=done * 100 // len(plan.items))

    await each_mailbox(items, of_mailbox)


async def all_ended(works: Iterable[Coroutine[None, None, None]]) -> None:
    """Do all of it, and only then raise what one has raised: what fails is no reason to leave others half done."""
    for end in await asyncio.gather(*works, return_exceptions=True):
        if end is not None:
            raise end
