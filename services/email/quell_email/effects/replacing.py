"""Putting a changed message in the place of another, and back: what is needed for the way back goes first.

Each step is durable before the next: the pieces, their record, the new copies, and only then the old ones are removed.
Broken off anywhere, doing it again comes to the same end, and no copy is lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from quell_email.domain.attachments import Wanted
from quell_email.domain.mailboxes import Mailboxes, Place, besides
from quell_email.domain.selection import address_of
from quell_email.domain.splice import inverse, restored
from quell_email.effects.attachment_record import AttachmentRecord, TakenOut, Way
from quell_email.effects.judging import Judged, Judging
from quell_email.effects.quarantine_record import QuarantineRecord
from quell_email.parsing.parser import Parser
from quell_email.threads import finished
from quell_email.vault.records import OURS, Kept, KeptState, kept_id
from quell_email.vault.vault import Vault
from quell_executor.effect import PlannedItem
from quell_runtime.seams import Clock, Point, nowhere

KIND = "quarantine_attachment"
BATCH = 32
MOST_BYTES = 64 << 20
"""Of messages that are in memory at a time, and one more."""


@dataclass(frozen=True, slots=True)
class _Change:
    """A message that is to be changed, and how."""

    item: PlannedItem
    wanted: Wanted
    judged: Judged

    @property
    def sha256(self) -> str:
        return self.item.item.message.sha256


@dataclass(frozen=True, slots=True)
class Replacing:
    """How messages are changed, some of a mailbox at a time: to look through it costs more than all else."""

    mailboxes: Mailboxes
    vault: Vault
    parser: Parser
    clock: Clock
    point: Point = field(default=nowhere)

    @property
    def judging(self) -> Judging:
        """How messages are looked into."""
        return Judging(self.mailboxes, self.parser)

    async def take(
        self, action: str, mailbox: str, wanted: Sequence[tuple[PlannedItem, Wanted]], until: datetime
    ) -> None:
        """Put changed messages in the place of all copies of these; what can't be changed is left.

        What is taken out is kept until a time.
        """
        pending = {item.item.message.sha256: (item, one) for item, one in wanted}
        while pending:
            judged: dict[str, Judged] = {}

            def look(sha256: str, found: Judged, judged: dict[str, Judged] = judged) -> None:
                if sum(len(one.raw) for one in judged.values()) <= MOST_BYTES:
                    judged[sha256] = found

            await self.judging.each(mailbox, {sha256: one for sha256, (_, one) in pending.items()}, look)
            changes = [_Change(*pending[sha256], one) for sha256, one in judged.items() if one.cut.removed]
            if changes:
                await self._take(action, mailbox, changes, until)
            pending = {sha256: pending[sha256] for sha256 in pending.keys() - judged} if judged else {}

    async def give_back(self, mailbox: str, items: Sequence[PlannedItem]) -> None:
        """Put messages back as they were, wherever the changed ones are; what hinders one leaves it as it is."""
        async with self.vault.giving_back(KIND, [item.key for item in items]) as kept:
            records = TakenOut.all(kept)
            pending = {one.record.changed: one for one in records}
            while pending:
                seen = await self._give_back(mailbox, pending)
                pending = {changed: pending[changed] for changed in pending.keys() - seen} if seen else {}
            digests = {sha256 for one in records for _, sha256 in (one.before, one.after)}
            left = await self.mailboxes.places(mailbox, digests, sent=True)
            back = [one.kept.id for one in records if one.record.changed not in left and one.before[1] in left]
            await self.vault.end(back, KeptState.RELEASED)

    async def _take(self, action: str, mailbox: str, changes: Sequence[_Change], until: datetime) -> None:
        changed = {change.judged.changed_sha256: change for change in changes}
        there = await self.mailboxes.places(mailbox, {*changed, *(change.sha256 for change in changes)}, sent=True)
        put: list[str] = []
        try:
            records = {sha256: await self._recorded(action, change, there, put) for sha256, change in changed.items()}
            await self.vault.keep([self._kept(action, changed[one].item, records[one], until) for one in records])
        except BaseException:
            self.vault.abandon(put)
            raise
        self.point("attachment.kept")
        wanted = {one: [*there.get(changed[one].sha256, ()), *record.beside] for one, record in records.items()}
        done = await self.mailboxes.add_each(mailbox, wanted, lambda one: changed[one].judged.changed)
        self.point("attachment.added")
        await self.mailboxes.remove(mailbox, [changed[one].sha256 for one in done], sent=True)
        self.point("attachment.removed")

    async def _give_back(self, mailbox: str, pending: Mapping[str, TakenOut]) -> set[str]:
        """Put some back; return the digests of the changed messages that were looked at."""
        seen: set[str] = set()
        contents: dict[str, bytes] = {}

        def look(changed: str, raw: bytes) -> None:
            if sum(map(len, contents.values())) <= MOST_BYTES:
                seen.add(changed)
                if content := self._restored(pending[changed], raw):
                    contents[pending[changed].before[1]] = content

        await self.mailboxes.read_each(mailbox, pending.keys(), look)
        there = await self.mailboxes.places(mailbox, {*seen, *contents}, sent=True)
        changed = {pending[one].before[1]: one for one in seen if one in there}
        wanted = {}
        for sha256 in contents.keys() & changed:
            places = there[changed[sha256]]
            # Those that look alike we have put there ourselves before we were interrupted.
            wanted[sha256] = [*places, *besides(there.get(sha256, ()), places)]
        done = await self.mailboxes.add_each(mailbox, wanted, contents.get)
        self.point("attachment.added")
        await self.mailboxes.remove(mailbox, [changed[sha256] for sha256 in done], sent=True)
        self.point("attachment.removed")
        return seen

    def _restored(self, taken: TakenOut, raw: bytes) -> bytes | None:
        texts = {}
        for text in taken.record.contents:
            content = self.vault.read(text)
            if content is None:
                return None
            texts[text] = content
        return restored(raw, taken.record.pieces(texts), taken.before[1])

    async def _recorded(
        self, action: str, change: _Change, there: Mapping[str, Sequence[Place]], put: list[str]
    ) -> AttachmentRecord:
        """Put what the way back needs into the vault; `put` is told what. Return what is to be written down."""
        judged = change.judged
        parser, raw, places = self.parser, judged.raw, tuple(there.get(change.sha256, ()))
        original = await finished(lambda: QuarantineRecord(places, parser.headers(raw), parser.marks(raw)))
        known = await self.vault.of(KIND, [change.item.key])
        begun = [one for one in known if one.action == action and one.state in OURS]
        beside = AttachmentRecord.load(begun[0].before).beside if begun else there.get(judged.changed_sha256, ())
        back, texts = inverse(judged.raw, judged.cut.pieces), {b"": ""}
        for text in {piece.text for piece in back if piece.text}:
            texts[text] = await self.vault.put(text)
            put.append(texts[text])
        ways = tuple(Way(piece.start, piece.end, texts[piece.text]) for piece in back)
        return AttachmentRecord(original, judged.changed_sha256, change.wanted, judged.cut.removed, ways, tuple(beside))

    def _kept(self, action: str, item: PlannedItem, record: AttachmentRecord, purge_time: datetime) -> Kept:
        return Kept(
            id=kept_id(action, item.key),
            kind=KIND,
            action=action,
            key=item.key,
            mailbox=address_of(item.item.message.mailbox),
            item=item.item,
            contents=tuple(sorted(record.contents)),
            before=record.dump(),
            state=KeptState.HELD,
            take_time=self.clock.now(),
            purge_time=purge_time,
        )
