"""Moving messages from a mailbox into the vault: the bytes, then the record, and only then are they removed."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from quell_email.domain.mailboxes import Mailboxes, Place
from quell_email.domain.selection import address_of
from quell_email.effects.quarantine_record import QuarantineRecord, still_taking
from quell_email.parsing.parser import Parser
from quell_email.vault.records import Kept, KeptState, kept_id
from quell_email.vault.vault import Vault
from quell_executor.effect import PlannedItem
from quell_runtime.errors import FullError
from quell_runtime.seams import Clock, Point, nowhere


@dataclass(frozen=True, slots=True)
class Wanted:
    """One message to take, by its planned item, and when it goes for good."""

    planned: PlannedItem
    purge_time: datetime

    @property
    def sha256(self) -> str:
        """The message."""
        return self.planned.item.message.sha256


@dataclass(frozen=True, slots=True)
class Taking:
    """How messages are taken, for one kind and one action at a time."""

    mailboxes: Mailboxes
    vault: Vault
    parser: Parser
    clock: Clock
    point: Point = field(default=nowhere)

    async def take(self, kind: str, action: str, mailbox: str, wanted: Sequence[Wanted]) -> None:
        """Take every copy of these that is in sight; what can't be is left. Doing it again does what is left."""
        read: dict[str, QuarantineRecord] = {}
        digests = frozenset(one.sha256 for one in wanted)
        await self.vault.expect(digests)
        try:
            await self.mailboxes.read_each(mailbox, digests, partial(self._store, read))
            await self.vault.sync()
            self.point("quarantine.stored")
            places = await self.mailboxes.places(mailbox, list(read), sent=False)
            there = [one for one in wanted if one.sha256 in places and one.sha256 in read]
            earlier = {record.key: record for record in await self._begun(kind, action, there)}
            records = [
                self._record(kind, action, one, _at(read[one.sha256], places[one.sha256], earlier.get(one.planned.key)))
                for one in there
            ]
            await self.vault.keep(records)
        except BaseException:
            self.vault.abandon(digests)
            raise
        self.vault.abandon(digests - {one.sha256 for one in there})
        self.point("quarantine.kept")
        await self.mailboxes.remove(mailbox, [one.sha256 for one in there], sent=False)
        self.point("quarantine.removed")
        left = await self.mailboxes.places(mailbox, [one.sha256 for one in there], sent=False)
        await self.vault.settle([kept_id(action, one.planned.key) for one in there if one.sha256 not in left])

    def _store(self, read: dict[str, QuarantineRecord], sha256: str, content: bytes) -> None:
        """Put a message's bytes into the vault, and note what they say."""
        try:
            self.vault.write(sha256, content)
        except OSError as error:
            # Told apart from a backend's own errors: that is asked again, a full disk is not.
            raise FullError("the vault can't be written") from error
        read[sha256] = QuarantineRecord((), self.parser.headers(content), self.parser.marks(content))

    async def _begun(self, kind: str, action: str, wanted: Sequence[Wanted]) -> list[Kept]:
        """Return the records that this action has made before it was interrupted."""
        known = await self.vault.of(kind, [one.planned.key for one in wanted])
        return [record for record in known if record.action == action and record.state is KeptState.TAKING]

    def _record(self, kind: str, action: str, wanted: Wanted, record: QuarantineRecord) -> Kept:
        planned = wanted.planned
        return Kept(
            id=kept_id(action, planned.key),
            kind=kind,
            action=action,
            key=planned.key,
            mailbox=address_of(planned.item.message.mailbox),
            item=planned.item,
            contents=(wanted.sha256,),
            before=record.dump(),
            state=KeptState.TAKING,
            take_time=self.clock.now(),
            purge_time=wanted.purge_time,
        )


def _at(read: QuarantineRecord, places: Sequence[Place], earlier: Kept | None) -> QuarantineRecord:
    """Return what was read with where its copies are, or were when this was begun."""
    recorded = QuarantineRecord.load(earlier.before).places if earlier else ()
    return replace(read, places=still_taking(recorded, places))
