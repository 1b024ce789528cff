"""One mailbox during one trip to the server: what is there, what is known of it, and how messages move in it."""

from collections.abc import Mapping

import structlog
from imapclient.exceptions import IMAPClientAbortError, IMAPClientError

from quell_email.domain.facts import Headers
from quell_email.imap import ledger
from quell_email.imap.box import Box, Kept, look_around
from quell_email.imap.client import Client, Folder
from quell_email.imap.index import Copy, Index
from quell_email.imap.ledger import Entered, Ledgers, Moving, Purging
from quell_runtime.seams import Point

log = structlog.get_logger()


class Trip:
    """The mailbox. `box` is how it was at the last look."""

    def __init__(self, client: Client, index: Index, ledgers: Ledgers, namespace: str, point: Point) -> None:
        """Look at it."""
        self.client = client
        self.point = point
        self._index = index
        self._ledgers = ledgers
        self._namespace = namespace
        self.box: Box
        self.look()

    def look(self) -> None:
        """Look at it again."""
        self.box = look_around(self.client, self._namespace)

    def settle(self) -> None:
        """Put right what was broken off in mid-move. Whatever changes something does this first."""
        if ledger.settle(self.client, self._index, self.box, self.entries().values()):
            self.look()

    def entries(self) -> dict[int, Entered]:
        """Return the ledger, by UID."""
        return self._ledgers.entries(self.client, self.box)

    def copies(self, folder: Folder) -> Mapping[int, Copy]:
        """Return the messages in a folder, by UID."""
        return self._index.copies(self.client, folder)

    def kept(self) -> list[tuple[Kept, int, Copy]]:
        """Return what we hold, but for what is purged already and only waits to be removed."""
        gone = {
            (name, validity, uid)
            for entered in self.entries().values()
            if isinstance(entered.entry, Purging)
            for name, (validity, uids) in entered.entry.copies.items()
            for uid in uids
        }
        return [
            (kept, uid, copy)
            for kept in self.box.kept.values()
            for uid, copy in self.copies(kept.folder).items()
            if (kept.folder.name, kept.folder.validity, uid) not in gone
        ]

    def purged(self) -> frozenset[str]:
        """Return the digests of all that was ever purged here."""
        entries = [entered.entry for entered in self.entries().values()]
        return frozenset(digest for entry in entries if isinstance(entry, Purging) for digest in entry.digests)

    def headers(self, folder: Folder, uid: int, copy: Copy) -> Headers | None:
        """Return what a message's headers say, or None if they can't be read."""
        return self._index.headers(self.client, folder, uid, copy)

    def marks(self, folder: Folder, uid: int, copy: Copy) -> frozenset[bytes] | None:
        """Return the marks of a message's body, or None if it can't be read."""
        return self._index.marks(self.client, folder, uid, copy)

    def move(self, source: Folder, name: str, copies: Mapping[int, Copy]) -> bool:
        """Move messages to the folder of a name, made if it is not there; False if the server did not want to.

        Raises:
            RefusedError: It can't be entered in the ledger.

        """
        try:
            target = self.box.any(name) or self.client.create(name)
            digests = {uid: copy.sha256 for uid, copy in copies.items()}
            entry = Moving(source.name, source.validity, target.name, target.validity, target.uidnext, digests)
            ledger.enter(self.client, self.box, entry)
            self.point("imap.entered")
            if not self.client.open(source, writable=True):
                return False
            moved = self.client.move(list(copies), target.name)
        except IMAPClientAbortError:
            raise
        except IMAPClientError as error:
            # They stay where they are; what looks afterwards says so.
            log.warning("messages_not_moved", error=str(error)[:200])
            return False
        self.point("imap.moved")
        self._index.moved(self.client, source, target, moved)
        return True

    def tidy(self, action: str) -> None:
        """Remove the folders of ours that an action has left empty, and once all are, its moves from the ledger."""
        self.look()
        mine = [kept for kept in self.box.kept.values() if kept.action == action]
        left = [kept for kept in mine if kept.folder.messages]
        for kept in mine:
            if kept not in left:
                self.client.delete(kept.folder.name)
        if not left and self.box.root and self.box.ledger:
            start = f"{self.box.root}{action}{self.box.separator}"
            done = [uid for uid, entered in self.entries().items() if _concerns(entered, start)]
            if done and self.client.open(self.box.ledger, writable=True):
                self.client.expunge(done)


def _concerns(entered: Entered, start: str) -> bool:
    entry = entered.entry
    return isinstance(entry, Moving) and (entry.source.startswith(start) or entry.target.startswith(start))
