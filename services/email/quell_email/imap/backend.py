"""Mailboxes on an IMAP server. Each method is one trip, however many messages it is about."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from quell_email.domain.errors import HinderedError
from quell_email.domain.mailboxes import Found, Held, Place, Sight, Volume
from quell_email.domain.selection import Criterion
from quell_email.imap import adding, moving, purging, search
from quell_email.imap.client import Client
from quell_email.imap.connections import PATIENCE_S, Connections
from quell_email.imap.index import Index
from quell_email.imap.ledger import Ledgers
from quell_email.imap.settings import ImapServer
from quell_email.imap.trip import Trip
from quell_email.threads import finished
from quell_runtime.seams import Point, micros, nowhere

T = TypeVar("T")


class ImapMailboxes:
    """The mailboxes that a file lists. One that is not in it holds nothing."""

    def __init__(
        self, server: ImapServer, index: Index, point: Point = nowhere, *, patience_s: float = PATIENCE_S
    ) -> None:
        """Connect to nothing yet."""
        self._server = server
        self._index = index
        self._point = point
        self._ledgers = Ledgers()
        self._connections = Connections(server, patience_s)

    async def close(self) -> None:
        """Hang up."""
        await self._connections.close()

    async def addresses(self) -> Collection[str]:
        """Return every mailbox."""
        return await finished(self._list)

    async def volume(self, mailbox: str) -> Volume | None:
        """Return how much is in sight."""
        return await self._trip(mailbox, lambda trip: trip.client.volume(trip.box.visible(sent=True)))

    async def find(self, mailbox: str, wanted: Sequence[Criterion], *, sent: bool) -> Sequence[Found]:
        """Return the messages that answer."""
        return await self._trip(mailbox, lambda trip: search.find(trip, wanted, sent=sent)) or ()

    async def look(self, mailbox: str, digests: Collection[str], *, sent: bool) -> Sight:
        """Look where these messages are now."""
        seen = await self._trip(mailbox, lambda trip: search.look(trip, frozenset(digests), sent=sent))
        return seen or Sight(frozenset(), frozenset())

    async def places(self, mailbox: str, digests: Collection[str], *, sent: bool) -> Mapping[str, Sequence[Place]]:
        """Return where copies of these are in sight now."""
        return await self._trip(mailbox, lambda trip: moving.places(trip, frozenset(digests), sent=sent)) or {}

    async def held(self, mailbox: str) -> Sequence[Held]:
        """Return all that we hold."""
        return await self._trip(mailbox, search.held) or ()

    async def take(self, mailbox: str, digests: Collection[str], action: str, *, sent: bool) -> None:
        """Take every copy out of sight."""
        await self._trip(mailbox, lambda trip: moving.take(trip, frozenset(digests), action, sent=sent))

    async def obstacles(self, mailbox: str, digests: Collection[str]) -> Mapping[str, str]:
        """Return what hinders putting back."""
        return await self._trip(mailbox, lambda trip: moving.obstacles(trip, frozenset(digests))) or {}

    async def put_back(self, mailbox: str, digests: Collection[str]) -> None:
        """Put back what nothing hinders."""
        await self._trip(mailbox, lambda trip: moving.put_back(trip, frozenset(digests)))

    async def read(self, mailbox: str, sha256: str) -> bytes | None:
        """Return the bytes of one copy in sight."""
        return await self._trip(mailbox, lambda trip: adding.read(trip, sha256))

    async def read_each(self, mailbox: str, digests: Collection[str], take: Callable[[str, bytes], None]) -> None:
        """Have `take` called with the bytes of each of these."""
        await self._trip(mailbox, lambda trip: adding.read_each(trip, frozenset(digests), take))

    async def hindrance(self, mailbox: str, places: Sequence[Place]) -> str:
        """Return what hinders adding at these places."""
        found = await self._trip(mailbox, lambda trip: adding.hindrance(trip, places))
        return "FOLDER_GONE" if found is None else found

    async def add(self, mailbox: str, content: bytes, places: Sequence[Place]) -> None:
        """Add what is lacking of these copies."""
        if mailbox not in await self.addresses():
            raise HinderedError("FOLDER_GONE")
        await self._trip(mailbox, lambda trip: adding.add(trip, content, places))

    async def add_each(
        self, mailbox: str, wanted: Mapping[str, Sequence[Place]], content: Callable[[str], bytes | None]
    ) -> Collection[str]:
        """Add what is lacking of many."""
        return await self._trip(mailbox, lambda trip: adding.add_each(trip, wanted, content)) or ()

    async def remove(self, mailbox: str, digests: Collection[str], *, sent: bool) -> None:
        """Remove every copy in sight."""
        await self._trip(mailbox, lambda trip: adding.remove(trip, frozenset(digests), sent=sent))

    async def purge(self, mailbox: str, before: datetime) -> int:
        """Purge some of what was taken before a time."""
        return await self._trip(mailbox, lambda trip: purging.purge(trip, micros(before))) or 0

    async def _trip(self, mailbox: str, work: Callable[[Trip], T]) -> T | None:
        """Do some work on a mailbox; None if there is no such mailbox."""
        if mailbox not in await self.addresses():
            return None

        def there(client: Client) -> T:
            return work(Trip(client, self._index, self._ledgers, self._server.hidden_namespace, self._point))

        return await self._connections.trip(mailbox, there)

    def _list(self) -> Collection[str]:
        lines = self._server.mailboxes.read_text().splitlines()
        named = (line.partition("#")[0].strip().casefold() for line in lines)
        return dict.fromkeys(name for name in named if name)
