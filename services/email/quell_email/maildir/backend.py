"""Mailboxes as Maildir++ trees. Each method is one trip to a worker thread, however many messages it is about."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from quell_email.domain.errors import HinderedError
from quell_email.domain.mailboxes import Found, Held, Place, Sight, Volume
from quell_email.domain.selection import Criterion
from quell_email.maildir import adding, moving, purging, search
from quell_email.maildir.homes import Homes
from quell_email.maildir.index import Index
from quell_email.threads import finished
from quell_runtime.seams import Point, micros, nowhere

T = TypeVar("T")


class Maildirs:
    """The trees that a pattern names: `/var/mail/{address}/Maildir`. A mailbox that is gone holds nothing."""

    def __init__(self, pattern: str, index: Index, point: Point = nowhere) -> None:
        """Find mailboxes by the pattern."""
        self._trees = Homes(pattern)
        self._index = index
        self._point = point
        self._roots: dict[str, Path] = {}

    async def addresses(self) -> Collection[str]:
        """Return every mailbox."""
        return await finished(self._list)

    async def volume(self, mailbox: str) -> Volume | None:
        """Return how much is in sight."""
        return await self._trip(mailbox, search.volume)

    async def find(self, mailbox: str, wanted: Sequence[Criterion], *, sent: bool) -> Sequence[Found]:
        """Return the messages that answer."""
        return await self._trip(mailbox, lambda root: search.find(root, self._index, wanted, sent=sent)) or ()

    async def look(self, mailbox: str, digests: Collection[str], *, sent: bool) -> Sight:
        """Look where these messages are now."""
        asked = frozenset(digests)
        seen = await self._trip(mailbox, lambda root: search.look(root, self._index, asked, sent=sent))
        return seen or Sight(frozenset(), frozenset())

    async def places(self, mailbox: str, digests: Collection[str], *, sent: bool) -> Mapping[str, Sequence[Place]]:
        """Return where copies of these are in sight now."""
        asked = frozenset(digests)
        return await self._trip(mailbox, lambda root: search.places(root, self._index, asked, sent=sent)) or {}

    async def held(self, mailbox: str) -> Sequence[Held]:
        """Return all that we hold and have a record of."""
        return await self._trip(mailbox, lambda root: search.held(root, self._index)) or ()

    async def take(self, mailbox: str, digests: Collection[str], action: str, *, sent: bool) -> None:
        """Take every copy out of sight."""
        asked = frozenset(digests)
        await self._trip(mailbox, lambda root: moving.take(root, self._index, asked, action, self._point, sent=sent))

    async def obstacles(self, mailbox: str, digests: Collection[str]) -> Mapping[str, str]:
        """Return what hinders putting back."""
        return await self._trip(mailbox, lambda root: moving.obstacles(root, frozenset(digests))) or {}

    async def put_back(self, mailbox: str, digests: Collection[str]) -> None:
        """Put back what nothing hinders."""
        await self._trip(mailbox, lambda root: moving.put_back(root, frozenset(digests), self._point))

    async def read(self, mailbox: str, sha256: str) -> bytes | None:
        """Return the bytes of one copy in sight."""
        return await self._trip(mailbox, lambda root: adding.read(root, self._index, sha256))

    async def read_each(self, mailbox: str, digests: Collection[str], take: Callable[[str, bytes], None]) -> None:
        """Have `take` called with the bytes of each of these."""
        asked = frozenset(digests)
        await self._trip(mailbox, lambda root: adding.read_each(root, self._index, asked, take))

    async def hindrance(self, mailbox: str, places: Sequence[Place]) -> str:
        """Return what hinders adding at these places."""
        found = await self._trip(mailbox, lambda root: adding.hindrance(root, places))
        return "FOLDER_GONE" if found is None else found

    async def add(self, mailbox: str, content: bytes, places: Sequence[Place]) -> None:
        """Add what is lacking of these copies."""

        def work(root: Path) -> bool:
            adding.add(root, self._index, content, places, self._point)
            return True

        if not await self._trip(mailbox, work):
            raise HinderedError("FOLDER_GONE")

    async def add_each(
        self, mailbox: str, wanted: Mapping[str, Sequence[Place]], content: Callable[[str], bytes | None]
    ) -> Collection[str]:
        """Add what is lacking of many."""
        work = lambda root: adding.add_each(root, self._index, wanted, content, self._point)  # noqa: E731 - as above
        return await self._trip(mailbox, work) or ()

    async def remove(self, mailbox: str, digests: Collection[str], *, sent: bool) -> None:
        """Remove every copy in sight."""
        asked = frozenset(digests)
        await self._trip(mailbox, lambda root: adding.remove(root, self._index, asked, self._point, sent=sent))

    async def purge(self, mailbox: str, before: datetime) -> int:
        """Purge some of what was taken before a time."""
        return await self._trip(mailbox, lambda root: purging.purge(root, micros(before) * 1000, self._point)) or 0

    async def _trip(self, mailbox: str, work: Callable[[Path], T]) -> T | None:
        """Do some work on a mailbox in a thread; None if there is no such mailbox."""

        def there() -> T | None:
            root = self._root(mailbox)
            return work(root) if root else None

        return await finished(there)

    def _root(self, mailbox: str) -> Path | None:
        if mailbox not in self._roots:
            self._list()
        root = self._roots.get(mailbox)
        return root if root and (root / "cur").is_dir() else None

    def _list(self) -> Collection[str]:
        self._roots = {address: root for address, root in self._trees.all().items() if (root / "cur").is_dir()}
        return self._roots.keys()
