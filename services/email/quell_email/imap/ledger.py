"""What we are about to do, written down in the mailbox before it is done, in a folder of ours: the ledger.

A move is two steps for the server: copy, then remove. If it dies between them, a message is there twice. The entry
tells which messages were to go, and where the arrivals begin: so what has arrived already is told from another copy,
and is removed again before the move is. What is purged is first entered, too, and its entry stays for ever.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import structlog
from imapclient.exceptions import IMAPClientAbortError, IMAPClientError

from quell_email.imap.box import LEDGER, Box
from quell_email.imap.client import Client
from quell_email.imap.index import Index, Shelf, refreshed
from quell_executor.effect import RefusedError

log = structlog.get_logger()
HEAD = b"Subject: Quell's ledger: leave it where it is\r\nContent-Type: application/json\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Moving:
    """Messages that move: UID and digest of each in `source`. They arrive from the UID `arrivals` on."""

    source: str
    source_validity: int
    target: str
    target_validity: int
    arrivals: int
    copies: Mapping[int, str]

    def doubled(self, here: Collection[int], arrived: Mapping[int, str]) -> list[int]:
        """Return those that arrived, by UID and digest, though they are still `here`: by UID where they came from.

        The arrivals are too many, not the originals: a move that was broken off may have left out their keywords.
        """
        left = Counter(self.copies[uid] for uid in here)
        excess = Counter(arrived.values()) + left - Counter(self.copies.values())
        return [uid for uid, digest in arrived.items() if _one_of(excess, digest)]


@dataclass(frozen=True, slots=True)
class Purging:
    """Messages that are done away with: the digests, and UIDVALIDITY and UIDs by folder of ours."""

    digests: Sequence[str]
    copies: Mapping[str, tuple[int, Sequence[int]]]


@dataclass(frozen=True, slots=True)
class Entered:
    """An entry, and when it was entered, in microseconds since 1970 by the server's clock."""

    entry: Moving | Purging
    date_us: int


class Ledgers:
    """The entries of all mailboxes, each read once."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._shelves: dict[str, Shelf[Entered | None]] = {}

    def entries(self, client: Client, box: Box) -> dict[int, Entered]:
        """Return the entries of a mailbox by UID."""
        if box.ledger is None:
            return {}
        shelf = refreshed(client, self._shelves.get(client.mailbox), box.ledger, _read)
        self._shelves[client.mailbox] = shelf
        return {uid: entered for uid, entered in shelf.known.items() if entered}


def enter(client: Client, box: Box, entry: Moving | Purging) -> int:
    """Enter what is about to be done; return the entry's UID, 0 if the server does not tell.

    Raises:
        RefusedError: There is no ledger, and none can be made.

    """
    name = f"{box.root}{LEDGER}"
    try:
        if box.ledger is None:
            client.create(name)
        return client.append(name, HEAD + json.dumps(_plain(entry)).encode() + b"\r\n")
    except IMAPClientAbortError:
        raise
    except IMAPClientError:
        raise RefusedError("HOLD_UNAVAILABLE", "the mail server lets us write nothing into our namespace") from None


def settle(client: Client, index: Index, box: Box, entries: Collection[Entered]) -> bool:
    """Remove what a move that was broken off has left doubled; tell whether there was any."""
    settled = False
    for entry in (entered.entry for entered in entries):
        if not isinstance(entry, Moving):
            continue
        source, target = box.any(entry.source), box.any(entry.target)
        if source is None or target is None:
            continue
        if (source.validity, target.validity) != (entry.source_validity, entry.target_validity):
            continue
        if not index.copies(client, source).keys() & entry.copies.keys():
            continue
        for folder in (source, target):
            index.doubt(client, folder)
        here = index.copies(client, source).keys() & entry.copies.keys()
        there = index.copies(client, target)
        doubled = entry.doubled(here, {uid: copy.sha256 for uid, copy in there.items() if uid >= entry.arrivals})
        if doubled and client.open(target, writable=True):
            log.warning("doubled_removed", number=len(doubled))
            client.expunge(doubled)
            settled = True
    return settled


def _one_of(counts: Counter[str], one: str) -> bool:
    counts[one] -= 1
    return counts[one] >= 0


def _plain(entry: Moving | Purging) -> dict[str, Any]:
    return {"kind": "moving" if isinstance(entry, Moving) else "purging", **asdict(entry)}


def _load(text: bytes) -> Moving | Purging | None:
    """Read an entry; None if it is none of ours."""
    try:
        found = json.loads(text.partition(b"\r\n\r\n")[2])
        if found.pop("kind") == "purging":
            return Purging(**found)
        copies = {int(uid): sha256 for uid, sha256 in found.pop("copies").items()}
        return Moving(**found, copies=copies)
    except (ValueError, TypeError, KeyError, AttributeError):
        log.warning("ledger_entry_unreadable")
        return None


def _read(client: Client, uids: Collection[int]) -> Iterator[tuple[int, Entered | None]]:
    dates = {uid: date_us for uid, _, date_us in client.sizes(uids)}
    for uid, content in client.bodies(uids):
        entry = _load(content)
        yield uid, Entered(entry, dates[uid]) if entry else None
