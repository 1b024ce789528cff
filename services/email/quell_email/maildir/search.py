"""Finding messages in one mailbox, in sight of its user and in the hold."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from quell_email.domain.mailboxes import Found, Held, Place, Sight, Volume
from quell_email.domain.selection import Criterion
from quell_email.maildir import names
from quell_email.maildir.box import shelves, uids
from quell_email.maildir.hold import hold_of
from quell_email.maildir.index import File, Index
from quell_email.maildir.purging import purged
from quell_executor.effect import RefusedError
from quell_runtime.seams import moment

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Copy:
    """A copy that was looked at. `visible` False: it is in the hold."""

    file: File
    place: Place
    visible: bool


def find(root: Path, index: Index, wanted: Sequence[Criterion], *, sent: bool) -> list[Found]:
    """Return the messages that answer one criterion at least, by time of delivery.

    Raises:
        RefusedError: A location can't be told, or is one of another time.

    """
    located = [_located(root, one) for one in wanted]
    found: dict[str, Found] = {}
    for copy in _copies(root, sent=sent):
        with suppress(FileNotFoundError):
            answer = _answer(index, copy, wanted, located)
            if answer is not False:
                sha256 = index.sha256(copy.file)
                one = found.get(sha256) or _described(index, sha256, copy.file)
                undecided = one.undecided and answer is None
                found[sha256] = replace(one, places=(*one.places, copy.place), undecided=undecided)
    return sorted(found.values(), key=lambda message: message.places[0].date_us)


def volume(root: Path) -> Volume:
    """Return how much is in sight."""
    sizes = [file.status.st_size for shelf in shelves(root, sent=True) for file in shelf.files()]
    return Volume(len(sizes), sum(sizes))


def look(root: Path, index: Index, digests: frozenset[str], *, sent: bool) -> Sight:
    """Look where these messages are now."""
    visible = set()
    for shelf in shelves(root, sent=sent):
        for file in shelf.files():
            with suppress(FileNotFoundError):
                visible.add(index.sha256(file))
    with hold_of(root) as hold:
        held = hold.digests() if hold else frozenset()
        gone = purged(hold) if hold else frozenset()
    return Sight(digests & visible, digests & held, digests & gone)


def places(root: Path, index: Index, digests: frozenset[str], *, sent: bool) -> dict[str, list[Place]]:
    """Return where copies of these are in sight now."""
    found: dict[str, list[Place]] = defaultdict(list)
    for shelf in shelves(root, sent=sent):
        for file in shelf.files():
            with suppress(FileNotFoundError):
                if (sha256 := index.sha256(file)) in digests:
                    found[sha256].append(shelf.place(file))
    return dict(found)


def held(root: Path, index: Index) -> list[Held]:
    """Return all that we hold and have a record of."""
    found: dict[str, Held] = {}
    with hold_of(root) as hold:
        for kept in hold.kept() if hold else ():
            if kept.place is None:
                log.warning("record_lost", sha256=kept.sha256)
                continue
            with suppress(FileNotFoundError):
                described = replace(_described(index, kept.sha256, kept.file), undecided=False)
                one = found.get(kept.sha256) or Held(described, kept.action)
                message = replace(one.message, places=(*one.message.places, kept.place))
                found[kept.sha256] = replace(one, message=message)
    return list(found.values())


def _copies(root: Path, *, sent: bool) -> Iterator[_Copy]:
    for shelf in shelves(root, sent=sent):
        for file in shelf.files():
            yield _Copy(file, shelf.place(file), visible=True)
    with hold_of(root) as hold:
        for kept in hold.kept() if hold else ():
            if kept.place is not None:
                yield _Copy(kept.file, kept.place, visible=False)


def _located(root: Path, wanted: Criterion) -> str:
    """Return the base name of the file at a location; empty if no location is asked for, or nothing is there."""
    if wanted.location is None:
        return ""
    known = uids(root, wanted.location.folder)
    if known is None:
        raise RefusedError("LOCATION_UNSUPPORTED", "the server has written no list of UIDs for this folder")
    validity, bases = known
    if validity != wanted.location.uid_validity:
        raise RefusedError("UIDVALIDITY_CHANGED", f"the folder's UIDVALIDITY is {validity}")
    return bases.get(wanted.location.uid, "")


def _answer(index: Index, copy: _Copy, wanted: Sequence[Criterion], located: Sequence[str]) -> bool | None:
    """Tell whether a copy answers one criterion at least; None if that can't be told and none is sure."""
    answers: set[bool | None] = set()
    delivered = moment(copy.file.status.st_mtime_ns // 1000)
    for one, base in zip(wanted, located, strict=True):
        if one.location is not None:
            there = copy.visible and copy.place.folder == one.location.folder
            answers.add(there and bool(base) and names.base_of(copy.file.name) == base)
        elif one.allows_time(delivered):
            answers.add(index.answers(copy.file, one))
    return True if True in answers else None if None in answers else False


def _described(index: Index, sha256: str, file: File) -> Found:
    headers = index.headers(file)
    message_id, subject = (headers.message_id, headers.subject) if headers else ("", "")
    return Found(sha256, message_id, subject, (), undecided=True, headers=headers)
