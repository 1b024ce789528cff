"""Taking messages out of sight and putting them back: many renames, then one fsync a folder."""

import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import structlog

from quell_email.domain.errors import HinderedError
from quell_email.domain.mailboxes import Place
from quell_email.files import directory, move, read_text
from quell_email.maildir import names
from quell_email.maildir.box import KEYWORDS, shelves
from quell_email.maildir.entries import Entry
from quell_email.maildir.hold import Hold, Kept, hold_of, make_hold
from quell_email.maildir.index import File, Index
from quell_executor.effect import RefusedError
from quell_runtime.seams import Point

log = structlog.get_logger()
PASSES = 3
"""How often taking looks again for what moved under its hands: its user reads, flags and files mail meanwhile."""


def take(root: Path, index: Index, digests: frozenset[str], action: str, point: Point, *, sent: bool) -> None:
    """Take every copy of these out of sight."""
    make_hold(root)
    with hold_of(root) as hold:
        if hold is None:
            raise RefusedError("HOLD_NOT_OURS", "the folder for taken messages was made by somebody else")
        for _ in range(PASSES):
            with ExitStack() as opened, hold.alone():
                visible = in_sight(root, index, digests, opened, sent=sent)
                if not visible or (_take_all(hold, visible, action, point) and len(visible) >= len(digests)):
                    return


def obstacles(root: Path, digests: frozenset[str]) -> dict[str, str]:
    """Return what hinders putting back, by digest."""
    with directory(root) as top, hold_of(root) as hold:
        judged = _judged(top, hold.kept(digests)) if hold else {}
    return {sha256: verdict for sha256, verdict in judged.items() if isinstance(verdict, str)}


def put_back(root: Path, digests: frozenset[str], point: Point) -> None:
    """Put back each message of which every copy can be put back exactly."""
    with directory(root) as top, hold_of(root) as hold:
        if hold is None:
            return
        with hold.alone():
            _put_back(hold, top, digests, point)


def _put_back(hold: Hold, top: int, digests: frozenset[str], point: Point) -> None:
    judged = _judged(top, hold.kept(digests))
    ways = [way for verdict in judged.values() if not isinstance(verdict, str) for way in verdict]
    by_directory: dict[str, list[tuple[Kept, str]]] = defaultdict(list)
    for kept, directory_of, name in ways:
        by_directory[directory_of].append((kept, name))
    for path, returning in by_directory.items():
        _return(hold, top, path, returning, point)
    if ways:
        hold.forget({kept.action for kept, _, _ in ways})
        os.fsync(hold.handle)


Copy = tuple[str, Place, File]


def in_sight(root: Path, index: Index, digests: frozenset[str], opened: ExitStack, *, sent: bool) -> list[Copy]:
    """Return the copies in sight, their directories kept open until `opened` ends."""
    found: list[Copy] = []
    for shelf in shelves(root, sent=sent):
        copies = []
        for file in shelf.files():
            with suppress(FileNotFoundError):
                if (sha256 := index.sha256(file)) in digests:
                    copies.append((file, sha256))
        if copies:
            handle = os.dup(shelf.handle)
            opened.callback(os.close, handle)
            found += [(sha256, shelf.place(file), File(handle, file.name, file.status)) for file, sha256 in copies]
    return found


def _take_all(hold: Hold, visible: list[Copy], action: str, point: Point) -> bool:
    """Take these copies; tell whether every one could be."""
    taken = 0
    chosen = hold.enter(action, [(sha256, place) for sha256, place, _ in visible])
    point("maildir.recorded")
    for name, (_, _, file) in zip(chosen, visible, strict=True):
        try:
            move(file.parent, file.name, hold.handle, name)
            taken += 1
        except OSError as error:
            # It stays where it is; what looks afterwards says so.
            log.warning("message_not_taken", errno=error.errno)
        point("maildir.moved")
    os.fsync(hold.handle)
    for handle in {file.parent for _, _, file in visible}:
        os.fsync(handle)
    return taken == len(visible)


Way = tuple[Kept, str, str]
"""A copy, and the directory and the name under which it comes back."""


def _judged(top: int, kept: Iterator[Kept]) -> dict[str, list[Way] | str]:
    """Return for each digest how all its copies go back, or what hinders one: a message goes back whole or not."""
    found: dict[str, list[Way] | str] = {}
    for copy in kept:
        known = found.setdefault(copy.sha256, [])
        if isinstance(known, str):
            continue
        try:
            known.append(_way(top, copy))
        except HinderedError as hindrance:
            found[copy.sha256] = hindrance.reason
    return found


def _way(top: int, kept: Kept) -> Way:
    if kept.place is None:
        raise HinderedError("RECORD_LOST")
    entry = Entry.of(kept.place)
    if not kept.as_taken():
        raise HinderedError("MESSAGE_CHANGED")
    try:
        with _shelf(top, entry.directory) as (handle, shelf):
            name = _name_now(handle, entry)
            with suppress(FileNotFoundError):
                os.stat(name, dir_fd=shelf, follow_symlinks=False)
                raise HinderedError("NAME_TAKEN")
    except (FileNotFoundError, NotADirectoryError):
        raise HinderedError("FOLDER_GONE") from None
    return kept, entry.directory, name


@contextmanager
def _shelf(top: int, path: str) -> Iterator[tuple[int, int]]:
    """Open a folder and its `cur` or `new`, step by step: its user may put a link in the way of either."""
    folder, _, part = path.rpartition("/")
    with directory(folder or ".", top) as handle, directory(part, handle) as shelf:
        yield handle, shelf


def _name_now(folder: int, entry: Entry) -> str:
    """Return the file name with its keywords as the folder spells them now."""
    if not entry.letters:
        return entry.name
    name = names.renamed(entry.name, entry.letters, names.read_keywords(read_text(KEYWORDS, folder) or ""))
    if name is None:
        raise HinderedError("KEYWORD_GONE")
    return name


def _return(hold: Hold, top: int, path: str, returning: list[tuple[Kept, str]], point: Point) -> None:
    with suppress(FileNotFoundError, NotADirectoryError), _shelf(top, path) as (_, shelf):
        for kept, name in returning:
            try:
                move(hold.handle, kept.file.name, shelf, name)
            except OSError as error:
                log.warning("message_not_put_back", errno=error.errno)
            point("maildir.returned")
        os.fsync(shelf)
