"""Doing away with messages that were held long enough. What was purged is told from what was released, for ever.

A copy is purged in the moment that its name changes, to `{sha256}-{action}-{number}.gone`: nothing puts that back. Its
digest then goes into the list `{action}.purged`, which stays, and only then do its bytes go. If we die between two of
these steps, the next purge goes on.
"""

import os
from collections import defaultdict
from itertools import islice
from pathlib import Path

from quell_email.files import listed, read_text, write_durably
from quell_email.maildir.hold import RECORD, Hold, Kept, hold_of
from quell_runtime.seams import Point

BATCH = 100
"""Copies that go at a time: whoever takes or puts back meanwhile waits for no more."""
GONE, LIST = ".gone", ".purged"


def purge(root: Path, before_ns: int, point: Point) -> int:
    """Purge some of what was taken before a time, in nanoseconds since 1970; return how many copies, 0 if none is left.

    What has lost its record counts from when it came here by the file system's own time.
    """
    with hold_of(root) as hold:
        if hold is None:
            return 0
        with hold.alone():
            for kept in islice((kept for kept in hold.kept() if _taken_ns(hold, kept) < before_ns), BATCH):
                name = f"{kept.file.name.replace('.', '-')}{GONE}"
                os.rename(kept.file.name, name, src_dir_fd=hold.handle, dst_dir_fd=hold.handle)
                point("maildir.retired")
            return _end(hold, point)


def purged(hold: Hold) -> frozenset[str]:
    """Return the digests of what was purged of a mailbox."""
    found: set[str] = set()
    for name in listed(hold.handle):
        if name.endswith(GONE):
            found.add(name.partition("-")[0])
        elif name.endswith(LIST):
            found.update((read_text(name, hold.handle) or "").split())
    return frozenset(found)


def _end(hold: Hold, point: Point) -> int:
    """Let the bytes go of all that is purged, with its digest written down before."""
    gone = [name for name in listed(hold.handle) if name.endswith(GONE)]
    by_action: dict[str, set[str]] = defaultdict(set)
    for name in gone:
        sha256, _, rest = name.partition("-")
        by_action[rest.rpartition("-")[0]].add(sha256)
    for action, digests in by_action.items():
        known = (read_text(f"{action}{LIST}", hold.handle) or "").split()
        write_durably(f"{action}{LIST}", "\n".join(sorted(digests.union(known))).encode(), hold.handle)
        point("maildir.listed")
    if gone:
        os.fsync(hold.handle)
        # While the last names are still here: else a record could be left behind for ever.
        hold.forget(by_action)
    for name in gone:
        os.unlink(name, dir_fd=hold.handle)
        point("maildir.purged")
    os.fsync(hold.handle)
    return len(gone)


def _taken_ns(hold: Hold, kept: Kept) -> int:
    if kept.place is None:
        return kept.file.status.st_ctime_ns
    return os.stat(f"{kept.action}{RECORD}", dir_fd=hold.handle, follow_symlinks=False).st_mtime_ns
