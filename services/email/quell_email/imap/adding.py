"""Adding messages to folders and removing them for good."""

import hashlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress

import structlog
from imapclient.exceptions import IMAPClientAbortError, IMAPClientError

from quell_email.domain.errors import HinderedError
from quell_email.domain.mailboxes import Place, lacking
from quell_email.imap.moving import PASSES, in_sight
from quell_email.imap.moving import places as there
from quell_email.imap.trip import Trip
from quell_executor.effect import RefusedError

log = structlog.get_logger()
MOST_BYTES = 256 << 20
"""Of a message that is worked on as a whole."""
_NOT_KEPT = re.compile(rb"(?<!\r)\n|\r\r\n|\0")
"""What servers change in a message: a line ends with CR and LF, and no octet is zero (RFC 9051, section 4.3)."""


def read(trip: Trip, sha256: str) -> bytes | None:
    """Return the bytes of one copy in sight.

    Raises:
        RefusedError: It is larger than what is worked on.

    """
    for folder, copies in in_sight(trip, {sha256}, sent=True):
        for uid, copy in copies.items():
            if copy.size > MOST_BYTES:
                raise RefusedError("MESSAGE_TOO_LARGE", f"it has more than {MOST_BYTES >> 20} MiB")
            if trip.client.open(folder):
                content = b"".join(trip.client.pieces(uid, copy.size))
                if hashlib.sha256(content).hexdigest() == sha256:
                    return content
    return None


def read_each(trip: Trip, digests: Collection[str], take: Callable[[str, bytes], None]) -> None:
    """Have `take` called with the bytes of one copy of each of these in sight."""
    done: set[str] = set()
    for folder, copies in in_sight(trip, digests, sent=True):
        for uid, copy in copies.items():
            if copy.sha256 not in done and copy.size <= MOST_BYTES and trip.client.open(folder):
                content = b"".join(trip.client.pieces(uid, copy.size))
                if hashlib.sha256(content).hexdigest() == copy.sha256:
                    take(copy.sha256, content)
                    done.add(copy.sha256)


def hindrance(trip: Trip, places: Sequence[Place]) -> str:
    """Return what hinders adding at these places; empty if nothing does."""
    return "" if all(place.folder in trip.box.folders for place in places) else "FOLDER_GONE"


def add(trip: Trip, content: bytes, places: Sequence[Place]) -> None:
    """Add what is lacking of these copies.

    Raises:
        HinderedError: One can't be made as it should be; none is added.

    """
    sha256 = hashlib.sha256(content).hexdigest()
    lack = lacking(places, there(trip, {sha256}, sent=True).get(sha256, []))
    _check(trip, content, lack)
    added = _append_all(trip, content, lack)
    trip.look()
    if not _kept(trip, sha256, added):
        raise HinderedError("BYTES_NOT_KEPT")


def add_each(
    trip: Trip, wanted: Mapping[str, Sequence[Place]], content: Callable[[str], bytes | None]
) -> Collection[str]:
    """Add what is lacking of many; return those whose copies are all there now."""
    known = there(trip, wanted, sent=True)
    added: dict[str, list[tuple[str, int]]] = {}
    for sha256, places in wanted.items():
        raw = content(sha256)
        with suppress(HinderedError):
            if raw is not None:
                lack = lacking(places, known.get(sha256, []))
                _check(trip, raw, lack)
                added[sha256] = _append_all(trip, raw, lack)
    # Once for all of them: a server may have many folders, and each look asks for every one.
    trip.look()
    return [sha256 for sha256, put in added.items() if _kept(trip, sha256, put)]


def _check(trip: Trip, content: bytes, wanted: Sequence[Place]) -> None:
    if reason := hindrance(trip, wanted) or ("BYTES_NOT_KEPT" if wanted and _NOT_KEPT.search(content) else ""):
        raise HinderedError(reason)


def remove(trip: Trip, digests: Collection[str], *, sent: bool) -> None:
    """Remove every copy of these for good."""
    for _ in range(PASSES):
        found = in_sight(trip, digests, sent=sent)
        if not found:
            return
        for folder, copies in found:
            if trip.client.open(folder, writable=True):
                trip.client.expunge(list(copies))
                trip.point("imap.removed")
        trip.look()


def _append_all(trip: Trip, content: bytes, places: Sequence[Place]) -> list[tuple[str, int]]:
    """Add a copy at each place; return their folders and UIDs. If the server does not want one, none is left."""
    added: list[tuple[str, int]] = []
    for place in places:
        try:
            added.append((place.folder, _append(trip, content, place)))
        except HinderedError:
            _take_back(trip, added)
            raise
    return added


def _append(trip: Trip, content: bytes, place: Place) -> int:
    """Add one copy; return its UID, 0 if the server does not tell."""
    try:
        uid = trip.client.append(place.folder, content, place)
    except IMAPClientAbortError:
        raise
    except IMAPClientError as error:
        log.warning("message_not_added", error=str(error)[:200])
        raise HinderedError("SERVER_REFUSED") from None
    trip.point("imap.added")
    return uid


def _kept(trip: Trip, sha256: str, added: Sequence[tuple[str, int]]) -> bool:
    """Tell whether the server has kept copies as they are; what it has changed is removed."""
    changed = []
    for name, uid in added:
        folder = trip.box.folders.get(name)
        copy = trip.copies(folder).get(uid) if folder else None
        if folder and copy and copy.sha256 != sha256:
            changed.append((name, uid))
    _take_back(trip, changed)
    return not changed


def _take_back(trip: Trip, added: Sequence[tuple[str, int]]) -> None:
    for name, uid in added:
        folder = trip.box.folders.get(name)
        if folder and uid and trip.client.open(folder, writable=True):
            trip.client.expunge([uid])
