"""Taking messages out of sight and putting them back: a move for each folder, whatever their number."""

from collections import defaultdict
from collections.abc import Collection

from quell_email.domain.mailboxes import Place
from quell_email.imap.client import Folder
from quell_email.imap.index import Copy
from quell_email.imap.trip import Trip

PASSES = 3
"""How often taking looks again for what moved under its hands: its user files mail meanwhile."""


def take(trip: Trip, digests: Collection[str], action: str, *, sent: bool) -> None:
    """Take every copy of these out of sight."""
    trip.settle()
    for _ in range(PASSES):
        found = in_sight(trip, digests, sent=sent)
        if not found:
            return
        for folder, copies in found:
            trip.move(folder, trip.box.hold(action, folder.name), copies)
        trip.look()


def in_sight(trip: Trip, digests: Collection[str], *, sent: bool) -> list[tuple[Folder, dict[int, Copy]]]:
    """Return the copies of these in the user's folders."""
    found = []
    for folder in trip.box.visible(sent=sent):
        copies = {uid: copy for uid, copy in trip.copies(folder).items() if copy.sha256 in digests}
        if copies:
            found.append((folder, copies))
    return found


def places(trip: Trip, digests: Collection[str], *, sent: bool) -> dict[str, list[Place]]:
    """Return where copies of these are in sight."""
    found: dict[str, list[Place]] = defaultdict(list)
    for folder, copies in in_sight(trip, digests, sent=sent):
        if trip.client.open(folder):
            for uid, place in trip.client.places(folder.name, copies).items():
                found[copies[uid].sha256].append(place)
    return found


def obstacles(trip: Trip, digests: Collection[str]) -> dict[str, str]:
    """Return what hinders putting back, by digest: a message goes back whole or not."""
    return {
        copy.sha256: "FOLDER_GONE"
        for kept, _, copy in trip.kept()
        if copy.sha256 in digests and kept.source not in trip.box.folders
    }


def put_back(trip: Trip, digests: Collection[str]) -> None:
    """Put back each message of which every copy can be put back."""
    trip.settle()
    hindered = obstacles(trip, digests)
    returning: dict[str, dict[int, Copy]] = defaultdict(dict)
    for kept, uid, copy in trip.kept():
        if copy.sha256 in digests and copy.sha256 not in hindered:
            returning[kept.folder.name][uid] = copy
    folders = [trip.box.kept[name] for name in returning]
    for kept in folders:
        trip.move(kept.folder, kept.source, returning[kept.folder.name])
    for action in {kept.action for kept in folders}:
        trip.tidy(action)
