"""Doing away with messages that were held long enough. What was purged is told from what was released, for ever.

A copy is purged in the moment that the ledger says so: nothing puts that back. Then it is removed. If we die between
the two, the next purge goes on.
"""

from collections import defaultdict
from collections.abc import Collection
from itertools import islice

from quell_email.imap import ledger
from quell_email.imap.ledger import Moving, Purging
from quell_email.imap.trip import Trip

BATCH = 100
"""Copies that go at a time: whoever takes or puts back meanwhile waits for no more."""


def purge(trip: Trip, before_us: int) -> int:
    """Purge some of what was taken before a time, in microseconds since 1970; return how many, 0 if none is left.

    What an action took counts from when it last took something; what has lost its entry, from when that is seen.
    """
    trip.settle()
    taken = _taken(trip)
    _begin(trip, taken.keys())
    due: dict[str, dict[int, str]] = defaultdict(dict)
    old = {action for action, taken_us in taken.items() if taken_us < before_us}
    for kept, uid, copy in islice((one for one in trip.kept() if one[0].action in old), BATCH):
        due[kept.folder.name][uid] = copy.sha256
    if due:
        digests = sorted({sha256 for copies in due.values() for sha256 in copies.values()})
        gone = {name: (trip.box.kept[name].folder.validity, sorted(copies)) for name, copies in due.items()}
        ledger.enter(trip.client, trip.box, Purging(digests, gone))
        trip.point("imap.purging")
        trip.look()
    return _end(trip)


def _begin(trip: Trip, known: Collection[str]) -> None:
    """Enter what is held and in no entry, so that its time begins now: nobody can tell any more when it was taken."""
    lost = {kept.action: kept for kept in trip.box.kept.values() if kept.folder.messages and kept.action not in known}
    for kept in lost.values():
        folder = kept.folder
        ledger.enter(trip.client, trip.box, Moving(kept.source, 0, folder.name, folder.validity, folder.uidnext, {}))
    if lost:
        trip.look()


def _end(trip: Trip) -> int:
    """Remove all that the ledger says is purged; return how many copies that were."""
    removed, actions = 0, set()
    for entry in [entered.entry for entered in trip.entries().values()]:
        for name, (validity, uids) in entry.copies.items() if isinstance(entry, Purging) else ():
            kept = trip.box.kept.get(name)
            here = sorted(trip.copies(kept.folder).keys() & set(uids)) if kept else []
            if kept and here and kept.folder.validity == validity and trip.client.open(kept.folder, writable=True):
                trip.client.expunge(here)
                trip.point("imap.purged")
                removed += len(here)
                actions.add(kept.action)
    for action in actions:
        trip.tidy(action)
    return removed


def _taken(trip: Trip) -> dict[str, int]:
    """Return when each action last took something, in microseconds since 1970."""
    found: dict[str, int] = {}
    for entered in trip.entries().values():
        entry = entered.entry
        if isinstance(entry, Moving) and entry.target in trip.box.kept:
            action = trip.box.kept[entry.target].action
            found[action] = max(found.get(action, 0), entered.date_us)
    return found
