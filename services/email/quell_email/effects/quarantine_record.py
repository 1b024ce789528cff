"""What the vault's record of a quarantined message holds: how it was, and what it says, for later questions."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from quell_email.domain.facts import Headers
from quell_email.domain.legible import answers
from quell_email.domain.mailboxes import Place, lacking
from quell_email.domain.selection import Criterion
from quell_email.vault.records import Kept
from quell_runtime.seams import moment


@dataclass(frozen=True, slots=True)
class QuarantineRecord:
    """A message as it was taken. `headers` and `marks` are None where it can't be read."""

    places: tuple[Place, ...]
    headers: Headers | None = None
    marks: frozenset[bytes] | None = None

    def dump(self) -> bytes:
        """Return it as it is stored."""
        plain: dict[str, object] = {
            "places": [place.plain() for place in self.places],
            "headers": asdict(self.headers) if self.headers else None,
            "marks": None if self.marks is None else sorted(mark.hex() for mark in self.marks),
        }
        return json.dumps(plain).encode()

    @classmethod
    def load(cls, stored: bytes) -> "QuarantineRecord":
        """Read it."""
        plain: dict[str, Any] = json.loads(stored)
        headers, marks = plain["headers"], plain["marks"]
        return cls(
            tuple(map(Place.load, plain["places"])),
            Headers(**{**headers, "senders": tuple(headers["senders"])}) if headers else None,
            None if marks is None else frozenset(map(bytes.fromhex, marks)),
        )

    def answers(self, wanted: Criterion, mailbox: str, sha256: str) -> bool:
        """Tell whether the message is one that is asked for; where nobody can tell, it is not."""
        if wanted.location or (wanted.mailboxes is not None and mailbox not in wanted.mailboxes):
            return False
        if not any(wanted.allows_time(moment(place.date_us)) for place in self.places):
            return False
        return answers(_Known(sha256, self), wanted) is True


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read of a message when it was taken, as what is read of one now."""

    sha256: str
    record: QuarantineRecord

    def headers(self) -> Headers | None:
        return self.record.headers

    def marks(self) -> frozenset[bytes] | None:
        return self.record.marks


def still_taking(recorded: Sequence[Place], seen: Sequence[Place]) -> tuple[Place, ...]:
    """Return where all copies were of a message whose taking broke off after it was recorded.

    What is still seen is as it is now: its user may have moved it meanwhile. What was recorded beyond that is gone from
    there already, by us.
    """
    gone = lacking(recorded, seen)[: max(0, len(recorded) - len(seen))]
    return (*seen, *gone)


def places_of(records: Sequence[Kept]) -> list[Place]:
    """Return every copy that these records know of."""
    return [place for record in records for place in QuarantineRecord.load(record.before).places]
