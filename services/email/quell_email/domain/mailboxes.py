"""The port to mailboxes. A backend (Maildir here) holds messages in sight of their users, and what was taken from them.

A message is told by its mailbox and the SHA-256 of its bytes; it may be there in several copies, and all are meant.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from quell_email.domain.selection import Criterion


@dataclass(frozen=True, slots=True)
class Place:
    """Where and how one copy is or was: what putting it back restores exactly. `folder` as its user knows it."""

    folder: str
    directory: str
    name: str
    mtime_ns: int
    mode: int
    uid: int
    gid: int
    keywords: Mapping[str, str] = field(default_factory=dict)

    def plain(self) -> dict[str, object]:
        """Return it for JSON; `dataclasses.asdict` copies deeply, and takes longer than the move itself."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Found:
    """A message that answers; `undecided`: nobody can tell whether it does, since it can't be read."""

    sha256: str
    message_id: str
    subject: str
    places: tuple[Place, ...]
    undecided: bool = False


@dataclass(frozen=True, slots=True)
class Sight:
    """What of some messages is where: in sight of the user, among what we hold, and what we purged. By SHA-256."""

    visible: frozenset[str]
    held: frozenset[str]
    purged: frozenset[str] = frozenset()


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

    async def find(self, mailbox: str, wanted: Sequence[Criterion], *, sent: bool) -> Sequence[Found]:
        """Return the messages that answer one criterion at least, those that we hold included.

        Raises:
            RefusedError: A location can't be told, or is one of another time.

        """

    async def look(self, mailbox: str, digests: Collection[str], *, sent: bool) -> Sight:
        """Look where these messages are now."""

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

    async def purge(self, mailbox: str, before: datetime) -> int:
        """Do away for good with some of what was taken before a time; return how many copies, 0 when none is left.

        What was purged is told of by `look` for ever. Durable when it returns.
        """
