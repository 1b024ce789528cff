"""The port to mailboxes. A backend holds messages in sight of their users, and what was taken from them.

A message is told by its mailbox and the SHA-256 of its bytes; it may be there in several copies, and all are meant.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from pydantic import JsonValue

from quell_email.domain.facts import Headers
from quell_email.domain.selection import Criterion


@dataclass(frozen=True, slots=True)
class Place:
    """Where and how one copy is or was: what putting it back restores exactly.

    `folder` is as its user knows it, `flags` are those of IMAP with their backslash, `date_us` is the internal date in
    microseconds since 1970. `record` is whatever its backend needs besides; nobody else reads it.
    """

    folder: str
    flags: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    date_us: int = 0
    record: Mapping[str, JsonValue] = field(default_factory=dict)

    @classmethod
    def load(cls, plain: Mapping[str, Any]) -> "Place":
        """Read what `plain` returned, by way of JSON."""
        flags, keywords = tuple(plain["flags"]), tuple(plain["keywords"])
        return cls(plain["folder"], flags, keywords, plain["date_us"], plain["record"])

    def plain(self) -> dict[str, object]:
        """Return it for JSON; `dataclasses.asdict` copies deeply, and takes longer than the move itself."""
        return {name: getattr(self, name) for name in self.__slots__}


def lacking(wanted: Sequence[Place], there: Sequence[Place]) -> list[Place]:
    """Return the places that lack a copy, given where copies of the same bytes are: one counts for one, in its folder.

    A copy that its user has flagged meanwhile is still the one that was put there.
    """
    alike = Counter(_look(place) for place in there)
    left = [place for place in wanted if not _taken(alike, _look(place))]
    others = Counter(folder for (folder, *_), number in alike.items() for _ in range(number))
    return [place for place in left if not _taken(others, place.folder)]


def besides(there: Sequence[Place], moved: Sequence[Place]) -> list[Place]:
    """Return the copies that look like none of those that are moved: one counts for one."""
    alike = Counter(_look(place) for place in moved)
    return [place for place in there if not _taken(alike, _look(place))]


def _look(place: Place) -> tuple[str, frozenset[str], int]:
    return place.folder, frozenset(place.flags + place.keywords), place.date_us


def _taken(counts: Counter[Any], key: object) -> bool:
    counts[key] -= 1
    return counts[key] >= 0


@dataclass(frozen=True, slots=True)
class Found:
    """A message that answers; `undecided`: nobody can tell whether it does, since it can't be read.

    `headers` are None where they can't be read, or the message is gone.
    """

    sha256: str
    message_id: str
    subject: str
    places: tuple[Place, ...]
    undecided: bool = False
    headers: Headers | None = None


@dataclass(frozen=True, slots=True)
class Sight:
    """What of some messages is where: in sight of the user, among what we hold, and what we purged. By SHA-256."""

    visible: frozenset[str]
    held: frozenset[str]
    purged: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Volume:
    """What a mailbox has in sight of its user, in all folders."""

    messages: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Held:
    """A message that we hold, with all its copies, and the bare id of the action that took it, by its own record."""

    message: Found
    action: str


class Mailboxes(Protocol):
    """Mailboxes by canonical address. Nothing here decides whether it may be done.

    `sent` says whether copies in the user's folder of sent mail are meant too.
    """

    async def addresses(self) -> Collection[str]:
        """Return every mailbox."""

    async def volume(self, mailbox: str) -> Volume | None:
        """Return how much a mailbox has in sight; None if there is no such mailbox."""

    async def find(self, mailbox: str, wanted: Sequence[Criterion], *, sent: bool) -> Sequence[Found]:
        """Return the messages that answer one criterion at least, those that we hold included.

        Raises:
            RefusedError: A location can't be told, or is one of another time.

        """

    async def look(self, mailbox: str, digests: Collection[str], *, sent: bool) -> Sight:
        """Look where these messages are now."""

    async def places(self, mailbox: str, digests: Collection[str], *, sent: bool) -> Mapping[str, Sequence[Place]]:
        """Return where copies of these are in sight now; what has none is left out."""

    async def held(self, mailbox: str) -> Sequence[Held]:
        """Return all that we hold of a mailbox and have a record of."""

    async def take(self, mailbox: str, digests: Collection[str], action: str, *, sent: bool) -> None:
        """Take every copy of these out of the user's sight, wherever it is now, with what restores it written down.

        What can't be taken stays as it is. Durable when it returns. Doing it again does what is left.
        """

    async def obstacles(self, mailbox: str, digests: Collection[str]) -> Mapping[str, str]:
        """Return, for those that we hold and could not put back exactly, the reason in upper snake case."""

    async def put_back(self, mailbox: str, digests: Collection[str]) -> None:
        """Put back, each exactly as it was, those that nothing hinders; leave the others. Durable when it returns."""

    async def read(self, mailbox: str, sha256: str) -> bytes | None:
        """Return the bytes of one copy in sight; None if there is none.

        Raises:
            RefusedError: It is larger than what is worked on.

        """

    async def read_each(self, mailbox: str, digests: Collection[str], take: Callable[[str, bytes], None]) -> None:
        """Have `take` called, in a worker thread, with digest and bytes of one copy of each of these that is in sight.

        What is larger than what is worked on is left out. One may come twice, when a connection breaks.
        """

    async def hindrance(self, mailbox: str, places: Sequence[Place]) -> str:
        """Return what hinders adding copies at these places, in upper snake case; empty if nothing does."""

    async def add(self, mailbox: str, content: bytes, places: Sequence[Place]) -> None:
        """See to it that each place has a copy of these bytes in sight, with its flags, keywords and internal date.

        Copies that are there already count, so doing it again adds none. Durable when it returns.

        Raises:
            HinderedError: One of them can't be made as it should be; none is added.

        """

    async def add_each(
        self, mailbox: str, wanted: Mapping[str, Sequence[Place]], content: Callable[[str], bytes | None]
    ) -> Collection[str]:
        """Do for many, by digest, what `add` does for one; return those whose copies are all there now.

        `content` is called in a worker thread, and gives the bytes, or None if there are none. Durable when it returns.
        """

    async def remove(self, mailbox: str, digests: Collection[str], *, sent: bool) -> None:
        """Remove every copy of these in sight for good: the caller has them safe elsewhere. Durable when it returns.

        What can't be removed stays as it is. Doing it again does what is left.
        """

    async def purge(self, mailbox: str, before: datetime) -> int:
        """Do away for good with some of what was taken before a time; return how many copies, 0 when none is left.

        What was purged is told of by `look` for ever. Durable when it returns.
        """
