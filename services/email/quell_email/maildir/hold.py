"""Where taken messages are kept: a folder of ours beside the Maildir, on the same file system, closed to its user.

A message is kept as the file that it was, renamed `{sha256}.{action}.{number}`. Before a message goes in, the record
`{action}.json` says where and how it was: with it, a message can be put back even if every journal of ours is lost.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from quell_email.domain.mailboxes import Place
from quell_email.files import directory, listed, read_text, regular, write_durably
from quell_email.maildir.entries import Entry, facts_of
from quell_email.maildir.index import File

RECORD = ".json"


@dataclass(frozen=True, slots=True)
class Kept:
    """One copy that we keep. `place` is None if its record is lost."""

    file: File
    sha256: str
    action: str
    place: Place | None

    def as_taken(self) -> bool:
        """Tell whether it is, in bytes, time, mode and owner, what was taken."""
        with regular(self.file.name, self.file.parent) as found, open(found, "rb", closefd=False) as content:
            same = hashlib.file_digest(content, "sha256").hexdigest() == self.sha256
        return same and self.place is not None and facts_of(self.file.status) == Entry.of(self.place).facts


class Hold:
    """The folder of one mailbox, open."""

    def __init__(self, handle: int) -> None:
        """Work in an open folder."""
        self.handle = handle

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let nobody else take, put back or purge in this mailbox meanwhile."""
        fcntl.flock(self.handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self.handle, fcntl.LOCK_UN)

    def kept(self, digests: Collection[str] | None = None) -> Iterator[Kept]:
        """Yield what is kept, of these digests or all."""
        records: dict[str, dict[str, Place]] = {}
        for name in sorted(listed(self.handle)):
            sha256, _, rest = name.partition(".")
            action = rest.rpartition(".")[0]
            if not action or (digests is not None and sha256 not in digests):
                continue
            if action not in records:
                records[action] = self.record(action)
            with suppress(FileNotFoundError):
                status = os.stat(name, dir_fd=self.handle, follow_symlinks=False)
                yield Kept(File(self.handle, name, status), sha256, action, records[action].get(name))

    def digests(self) -> frozenset[str]:
        """Return the digests of what is kept."""
        split = (name.split(".") for name in listed(self.handle))
        return frozenset(parts[0] for parts in split if len(parts) == 3)  # noqa: PLR2004 - digest, action, number

    def record(self, action: str) -> dict[str, Place]:
        """Return what an action's record says: the place of each name in here."""
        text = read_text(f"{action}{RECORD}", self.handle)
        try:
            return {name: Place.load(place) for name, place in json.loads(text or "{}").items()}
        except (KeyError, ValueError):
            # Written by nobody of ours: what it is about can't be put back, and is purged in its time.
            return {}

    def enter(self, action: str, taken: Sequence[tuple[str, Place]]) -> list[str]:
        """Record messages that are about to be taken, by digest, and return their names in here."""
        record = self.record(action)
        chosen = []
        for sha256, place in taken:
            number = 0
            while (name := f"{sha256}.{action}.{number}") in record:
                number += 1
            record[name] = place
            chosen.append(name)
        self._write(action, record)
        return chosen

    def forget(self, actions: Collection[str]) -> None:
        """Drop the records of actions of which nothing is kept any more."""
        left = {name.split(".")[1] for name in listed(self.handle) if name.count(".") == 2}  # noqa: PLR2004
        for action in set(actions) - left:
            with suppress(FileNotFoundError):
                os.unlink(f"{action}{RECORD}", dir_fd=self.handle)

    def _write(self, action: str, record: Mapping[str, Place]) -> None:
        text = json.dumps({name: place.plain() for name, place in record.items()})
        write_durably(f"{action}{RECORD}", text.encode(), self.handle)


@contextmanager
def hold_of(root: Path) -> Iterator[Hold | None]:
    """Open the hold of the mailbox at `root`; None if nothing was ever taken from it, or if somebody else made it."""
    with ExitStack() as opened:
        hold = None
        with suppress(FileNotFoundError, NotADirectoryError):
            handle = opened.enter_context(directory(_path(root)))
            hold = Hold(handle) if os.fstat(handle).st_uid == os.geteuid() else None
        yield hold


def make_hold(root: Path) -> None:
    """Make the hold, if it is not there yet."""
    with suppress(FileExistsError):
        _path(root).mkdir(mode=0o700)
        with directory(root.parent) as parent:
            os.fsync(parent)


def _path(root: Path) -> Path:
    return root.parent / f".quell-{root.name}"
