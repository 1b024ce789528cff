"""What the vault's record of an attachment holds: how the message was, what it became, and the way back."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from quell_email.domain.attachments import Wanted, plain_name
from quell_email.domain.cutting import Removed
from quell_email.domain.mailboxes import Place
from quell_email.domain.splice import Piece
from quell_email.effects.quarantine_record import QuarantineRecord
from quell_email.vault.records import Kept


@dataclass(frozen=True, slots=True)
class Way:
    """A piece of the way back: `text` is the SHA-256 of the bytes that the vault has; empty for none."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class AttachmentRecord:
    """A message as it was, the SHA-256 of what it became, what was asked and removed, and how it is made again.

    `beside` are copies of what it became that were there before, of another delivery.
    """

    original: QuarantineRecord
    changed: str
    wanted: Wanted
    removed: tuple[Removed, ...]
    back: tuple[Way, ...]
    beside: tuple[Place, ...] = ()

    def dump(self) -> bytes:
        """Return it as it is stored."""
        plain = {
            "original": self.original.dump().decode(),
            "changed": self.changed,
            "wanted": asdict(self.wanted),
            "removed": [asdict(one) for one in self.removed],
            "back": [asdict(way) for way in self.back],
            "beside": [place.plain() for place in self.beside],
        }
        return json.dumps(plain).encode()

    @classmethod
    def load(cls, stored: bytes) -> "AttachmentRecord":
        """Read it."""
        plain: dict[str, Any] = json.loads(stored)
        return cls(
            QuarantineRecord.load(plain["original"].encode()),
            plain["changed"],
            Wanted(**plain["wanted"]),
            tuple(Removed(**{**one, "names": tuple(one["names"])}) for one in plain["removed"]),
            tuple(Way(**way) for way in plain["back"]),
            tuple(map(Place.load, plain["beside"])),
        )

    @property
    def contents(self) -> frozenset[str]:
        """Return the SHA-256 of all bytes that the way back needs."""
        return frozenset(way.text for way in self.back if way.text)

    def pieces(self, texts: Mapping[str, bytes]) -> tuple[Piece, ...]:
        """Return the way back, with the bytes by their SHA-256."""
        return tuple(Piece(way.start, way.end, texts[way.text] if way.text else b"") for way in self.back)

    def means(self, wanted: Wanted) -> bool:
        """Tell whether what was removed is what is wanted now."""
        return any(_is(one, wanted) for one in self.removed)


@dataclass(frozen=True, slots=True)
class TakenOut:
    """A message that something was taken out of: what the vault knows of it, and what its record says."""

    kept: Kept
    record: AttachmentRecord

    @classmethod
    def all(cls, kept: Iterable[Kept]) -> "list[TakenOut]":
        """Read records. There may be many: call it in a worker thread."""
        return [cls(one, AttachmentRecord.load(one.before)) for one in kept]

    @property
    def before(self) -> tuple[str, str]:
        """The message that there was, by its mailbox and digest."""
        return self.kept.mailbox, self.kept.item.message.sha256

    @property
    def after(self) -> tuple[str, str]:
        """The message that it became."""
        return self.kept.mailbox, self.record.changed


def _is(removed: Removed, wanted: Wanted) -> bool:
    if wanted.part:
        return removed.part == wanted.part
    if wanted.file_name:
        return plain_name(wanted.file_name) in map(plain_name, removed.names)
    return removed.sha256 == wanted.sha256
