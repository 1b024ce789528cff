"""What is known of the messages in folders, so that each is read once.

A UID stands for the same bytes as long as its folder's UIDVALIDITY is the same, so whatever was read stays true. The
UIDs in a folder are the same as long as its UIDNEXT and its number of messages are. Nothing here is written to disk;
after a start everything is read once more.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import structlog

from quell_email.domain.facts import Headers
from quell_email.domain.mime import MAX_HEADER_BYTES
from quell_email.imap.client import Client, Folder
from quell_email.parsing.parser import Parser
from quell_email.remembering import remember

log = structlog.get_logger()
T = TypeVar("T")
MAX_KNOWN = 200_000
"""Messages whose headers and marks are known at a time."""
MAX_BODY = 64 << 20
MAX_AT_ONCE, AT_ONCE_BYTES = 500, 8 << 20
"""Messages, and bytes of them, that are fetched in one command."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One message in a folder; `date_us` is its internal date in microseconds since 1970."""

    sha256: str
    size: int
    date_us: int


@dataclass(slots=True)
class Shelf(Generic[T]):
    """What is known of one folder, by UID."""

    folder: Folder
    known: dict[int, T] = field(default_factory=dict)
    fresh: bool = False


@dataclass(slots=True)
class Facts:
    """What was read of a message. `marks_read` tells whether that was tried; None where it can't be read."""

    headers: Headers | None
    marks: frozenset[bytes] | None = None
    marks_read: bool = False


class Index:
    """Facts of messages, for worker threads; one thread at a time is on one mailbox."""

    def __init__(self, parser: Parser) -> None:
        """Know nothing yet."""
        self._parser = parser
        self._shelves: dict[tuple[str, str], Shelf[Copy]] = {}
        self._facts: dict[str, Facts] = {}

    def copies(self, client: Client, folder: Folder) -> Mapping[int, Copy]:
        """Return the messages in a folder by UID; none if it is gone meanwhile."""
        shelf = refreshed(client, self._shelves.get((client.mailbox, folder.name)), folder, self._read)
        self._shelves[client.mailbox, folder.name] = shelf
        return shelf.known

    def moved(self, client: Client, source: Folder, target: Folder, uids: Mapping[int, int]) -> None:
        """Learn that we moved messages of which something is known: their UIDs there by those here."""
        here = self._shelves.get((client.mailbox, source.name))
        there = self._shelves.setdefault((client.mailbox, target.name), Shelf(target))
        if here and there.folder.validity == target.validity:
            for old, new in uids.items():
                if old in here.known:
                    there.known[new] = here.known.pop(old)
            there.fresh = here.fresh = False

    def doubt(self, client: Client, folder: Folder) -> None:
        """Look into a folder anew the next time, even if its numbers are the same."""
        if shelf := self._shelves.get((client.mailbox, folder.name)):
            shelf.fresh = False

    def headers(self, client: Client, folder: Folder, uid: int, copy: Copy) -> Headers | None:
        """Return what the headers say, or None if they can't be read."""
        return self._facts_of(client, folder, uid, copy).headers

    def marks(self, client: Client, folder: Folder, uid: int, copy: Copy) -> frozenset[bytes] | None:
        """Return the marks of the body, or None if it can't be read."""
        facts = self._facts_of(client, folder, uid, copy)
        if not facts.marks_read:
            if copy.size <= MAX_BODY and client.open(folder):
                facts.marks = self._parser.marks(b"".join(client.pieces(uid, copy.size)))
            facts.marks_read = True
        return facts.marks

    def _facts_of(self, client: Client, folder: Folder, uid: int, copy: Copy) -> Facts:
        found = self._facts.get(copy.sha256)
        if found is None:
            found = Facts(None)
            if client.open(folder):
                start = b"".join(client.pieces(uid, min(copy.size, MAX_HEADER_BYTES + 1)))
                found = self._learn(copy.sha256, start)
        return found

    def _learn(self, sha256: str, start: bytes) -> Facts:
        found = self._facts.get(sha256)
        if found is None:
            found = Facts(self._parser.headers(start))
            remember(self._facts, sha256, found, MAX_KNOWN)
        return found

    def _read(self, client: Client, uids: Collection[int]) -> Iterator[tuple[int, Copy]]:
        """Read messages of the open folder that are new to us."""
        some: dict[int, tuple[int, int]] = {}
        for uid, size, date_us in [*client.sizes(uids)]:
            if size > AT_ONCE_BYTES:
                yield uid, self._read_large(client, uid, size, date_us)
                continue
            some[uid] = size, date_us
            if len(some) >= MAX_AT_ONCE or sum(size for size, _ in some.values()) > AT_ONCE_BYTES:
                yield from self._read_small(client, some)
                some = {}
        yield from self._read_small(client, some)

    def _read_small(self, client: Client, some: Mapping[int, tuple[int, int]]) -> Iterator[tuple[int, Copy]]:
        for uid, content in client.bodies(some):
            sha256 = hashlib.sha256(content).hexdigest()
            self._learn(sha256, content[: MAX_HEADER_BYTES + 1])
            yield uid, Copy(sha256, len(content), some[uid][1])

    def _read_large(self, client: Client, uid: int, size: int, date_us: int) -> Copy:
        digest, start = hashlib.sha256(), b""
        for piece in client.pieces(uid, size):
            digest.update(piece)
            start = start if len(start) > MAX_HEADER_BYTES else start + piece
        self._learn(digest.hexdigest(), start[: MAX_HEADER_BYTES + 1])
        return Copy(digest.hexdigest(), size, date_us)


def refreshed(
    client: Client,
    shelf: Shelf[T] | None,
    folder: Folder,
    read: Callable[[Client, Collection[int]], Iterator[tuple[int, T]]],
) -> Shelf[T]:
    """Return what is known of a folder, with what is new in it read, and without what has gone."""
    if shelf is None or shelf.folder.validity != folder.validity:
        shelf = Shelf(folder)
    elif shelf.fresh and shelf.folder == folder:
        return shelf
    shelf.fresh = False
    now = client.open(folder)
    if now is None:
        return Shelf(folder)
    present = client.uids(now.uidnext)
    shelf.known = {uid: known for uid, known in shelf.known.items() if uid in present}
    shelf.known.update(read(client, sorted(present - shelf.known.keys())))
    shelf.folder, shelf.fresh = folder, True
    return shelf
