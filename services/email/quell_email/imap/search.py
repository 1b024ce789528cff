"""Finding messages in one mailbox, in sight of its user and among what we hold."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from quell_email.domain.facts import Headers
from quell_email.domain.legible import answers
from quell_email.domain.mailboxes import Found, Held, Place, Sight
from quell_email.domain.selection import Criterion
from quell_email.imap.client import Folder
from quell_email.imap.index import Copy
from quell_email.imap.trip import Trip
from quell_executor.effect import RefusedError
from quell_runtime.seams import moment


@dataclass(frozen=True, slots=True)
class _Message:
    """A copy that is looked at. `source` is the folder in which its user has it, or had it; `action` took it."""

    trip: Trip
    folder: Folder
    uid: int
    copy: Copy
    source: str
    action: str = ""

    @property
    def sha256(self) -> str:
        return self.copy.sha256

    def headers(self) -> Headers | None:
        return self.trip.headers(self.folder, self.uid, self.copy)

    def marks(self) -> frozenset[bytes] | None:
        return self.trip.marks(self.folder, self.uid, self.copy)


def find(trip: Trip, wanted: Sequence[Criterion], *, sent: bool) -> list[Found]:
    """Return the messages that answer one criterion at least, by time of delivery.

    Raises:
        RefusedError: A location is one of another time.

    """
    for one in wanted:
        _check(trip, one)
    answering = []
    for message in _messages(trip, sent=sent):
        answer = _answer(message, wanted)
        if answer is not False:
            answering.append((message, answer is None))
    places = _places(trip, [message for message, _ in answering])
    found: dict[str, Found] = {}
    for message, undecided in answering:
        place = places.get((message.folder.name, message.uid))
        if place:
            known = found.get(message.sha256) or _described(message)
            unsure = known.undecided and undecided
            found[message.sha256] = replace(known, places=(*known.places, place), undecided=unsure)
    return sorted(found.values(), key=lambda message: message.places[0].date_us)


def look(trip: Trip, digests: frozenset[str], *, sent: bool) -> Sight:
    """Look where these messages are now."""
    visible = {copy.sha256 for folder in trip.box.visible(sent=sent) for copy in trip.copies(folder).values()}
    held = {copy.sha256 for _, _, copy in trip.kept()}
    return Sight(digests & visible, digests & held, digests & trip.purged())


def held(trip: Trip) -> list[Held]:
    """Return all that we hold."""
    found: dict[str, Held] = {}
    messages = [message for message in _messages(trip, sent=True) if message.action]
    places = _places(trip, messages)
    for message in messages:
        place = places.get((message.folder.name, message.uid))
        if place:
            one = found.get(message.sha256) or Held(replace(_described(message), undecided=False), message.action)
            found[message.sha256] = replace(one, message=replace(one.message, places=(*one.message.places, place)))
    return list(found.values())


def _messages(trip: Trip, *, sent: bool) -> Iterator[_Message]:
    for folder in trip.box.visible(sent=sent):
        for uid, copy in trip.copies(folder).items():
            yield _Message(trip, folder, uid, copy, folder.name)
    for kept, uid, copy in trip.kept():
        yield _Message(trip, kept.folder, uid, copy, kept.source, kept.action)


def _check(trip: Trip, wanted: Criterion) -> None:
    folder = trip.box.folders.get(wanted.location.folder) if wanted.location else None
    if folder and wanted.location and folder.validity != wanted.location.uid_validity:
        raise RefusedError("UIDVALIDITY_CHANGED", f"the folder's UIDVALIDITY is {folder.validity}")


def _answer(message: _Message, wanted: Sequence[Criterion]) -> bool | None:
    """Tell whether a copy answers one criterion at least; None if that can't be told and none is sure."""
    found: set[bool | None] = set()
    delivered = moment(message.copy.date_us)
    for one in wanted:
        if one.location is not None:
            there = message.source == one.location.folder and message.uid == one.location.uid
            found.add(there and not message.action)
        elif one.allows_time(delivered):
            found.add(answers(message, one))
    return True if True in found else None if None in found else False


def _places(trip: Trip, messages: Sequence[_Message]) -> Mapping[tuple[str, int], Place]:
    """Return where and how messages are, or were."""
    by_folder: dict[str, list[_Message]] = defaultdict(list)
    for message in messages:
        by_folder[message.folder.name].append(message)
    found = {}
    for name, some in by_folder.items():
        if trip.client.open(some[0].folder):
            for uid, place in trip.client.places(some[0].source, [message.uid for message in some]).items():
                found[name, uid] = place
    return found


def _described(message: _Message) -> Found:
    headers = message.headers()
    message_id, subject = (headers.message_id, headers.subject) if headers else ("", "")
    return Found(message.sha256, message_id, subject, (), undecided=True, headers=headers)
