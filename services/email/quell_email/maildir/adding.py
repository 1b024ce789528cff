"""Adding messages to folders and removing them for good. What is half written is never in sight."""

import hashlib
import os
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import structlog

from quell_email.domain.errors import HinderedError
from quell_email.domain.mailboxes import Place, lacking
from quell_email.files import directory, move, read_text, regular
from quell_email.maildir import names
from quell_email.maildir.box import KEYWORDS
from quell_email.maildir.entries import Entry
from quell_email.maildir.index import Index
from quell_email.maildir.moving import PASSES, in_sight
from quell_email.maildir.search import places as look_for
from quell_executor.effect import RefusedError
from quell_runtime.seams import Point

log = structlog.get_logger()
MOST_BYTES = 256 << 20
"""Of a message that is worked on as a whole."""
_READ_WRITE = 0o666
_FRESH = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def read(root: Path, index: Index, sha256: str) -> bytes | None:
    """Return the bytes of one copy in sight.

    Raises:
        RefusedError: It is larger than what is worked on.

    """
    with ExitStack() as opened:
        for _, _, file in in_sight(root, index, frozenset({sha256}), opened, sent=True):
            if file.status.st_size > MOST_BYTES:
                raise RefusedError("MESSAGE_TOO_LARGE", f"it has more than {MOST_BYTES >> 20} MiB")
            with suppress(FileNotFoundError), regular(file.name, file.parent) as found:
                content = _read_all(found)
                if hashlib.sha256(content).hexdigest() == sha256:
                    return content
    return None


def read_each(root: Path, index: Index, digests: frozenset[str], take: Callable[[str, bytes], None]) -> None:
    """Have `take` called with the bytes of one copy of each of these in sight."""
    done: set[str] = set()
    with ExitStack() as opened:
        for sha256, _, file in in_sight(root, index, digests, opened, sent=True):
            if sha256 in done or file.status.st_size > MOST_BYTES:
                continue
            with suppress(FileNotFoundError), regular(file.name, file.parent) as found:
                content = _read_all(found)
                if hashlib.sha256(content).hexdigest() == sha256:
                    take(sha256, content)
                    done.add(sha256)


def hindrance(root: Path, places: Sequence[Place]) -> str:
    """Return what hinders adding at these places; empty if nothing does."""
    try:
        with directory(root) as top:
            for place in places:
                with _folder(top, place.folder) as folder:
                    _name(folder, place, 0)
    except HinderedError as error:
        return error.reason
    return ""


def add(root: Path, index: Index, content: bytes, places: Sequence[Place], point: Point) -> None:
    """Add what is lacking of these copies.

    Raises:
        HinderedError: One can't be made as it should be; none is added.

    """
    sha256 = hashlib.sha256(content).hexdigest()
    with directory(root) as top:
        there = look_for(root, index, frozenset({sha256}), sent=True)
        _add(top, content, lacking(places, there.get(sha256, [])), point)


def add_each(
    root: Path,
    index: Index,
    wanted: Mapping[str, Sequence[Place]],
    content: Callable[[str], bytes | None],
    point: Point,
) -> set[str]:
    """Add what is lacking of many; return those whose copies are all there now."""
    done = set()
    there = look_for(root, index, frozenset(wanted), sent=True)
    with directory(root) as top:
        for sha256, places in wanted.items():
            raw = content(sha256)
            with suppress(HinderedError):
                if raw is not None:
                    _add(top, raw, lacking(places, there.get(sha256, [])), point)
                    done.add(sha256)
    return done


def _add(top: int, content: bytes, places: Sequence[Place], point: Point) -> None:
    by_folder: dict[str, list[Place]] = defaultdict(list)
    for place in places:
        by_folder[place.folder].append(place)
    with ExitStack() as opened:
        folders = {folder: opened.enter_context(_folder(top, folder)) for folder in by_folder}
        chosen = {
            folder: [(place, *_name(folders[folder], place, len(content))) for place in some]
            for folder, some in by_folder.items()
        }
        for folder, some in chosen.items():
            for place, part, name in some:
                _put(folders[folder], content, place, part, name)
                point("maildir.added")


def remove(root: Path, index: Index, digests: frozenset[str], point: Point, *, sent: bool) -> None:
    """Remove every copy of these for good."""
    for _ in range(PASSES):
        with ExitStack() as opened:
            copies = in_sight(root, index, digests, opened, sent=sent)
            if not copies:
                return
            for _, _, file in copies:
                try:
                    os.unlink(file.name, dir_fd=file.parent)
                except OSError as error:
                    # Its user has renamed it meanwhile, or it can't be: what looks afterwards says so.
                    log.warning("message_not_removed", errno=error.errno)
                point("maildir.removed")
            for handle in {file.parent for _, _, file in copies}:
                os.fsync(handle)


def _read_all(handle: int) -> bytes:
    with open(handle, "rb", closefd=False) as content:
        return content.read(MOST_BYTES + 1)


@contextmanager
def _folder(top: int, name: str) -> Iterator[int]:
    with ExitStack() as opened:
        try:
            handle = opened.enter_context(directory(names.directory_of(name) or ".", top))
        except (FileNotFoundError, NotADirectoryError):
            raise HinderedError("FOLDER_GONE") from None
        yield handle


def _name(folder: int, place: Place, size: int) -> tuple[str, str]:
    """Return whether a copy goes into `cur` or `new`, and its name there.

    The name is a new one: of the old one the server may remember other bytes. It tells the right size, for quotas.

    Raises:
        HinderedError: The folder no longer knows one of its keywords.

    """
    letters = names.read_keywords(read_text(KEYWORDS, folder) or "")
    old = Entry.of(place).name if place.record else ""
    info = names.info_of(place.flags, place.keywords, letters, old)
    if info is None:
        raise HinderedError("KEYWORD_GONE")
    seconds, micros = divmod(place.date_us, 1_000_000)
    name = f"{seconds}.M{micros}Q{secrets.token_hex(8)}.quell,S={size}"
    new = bool(place.record) and Entry.of(place).directory.endswith("new") and not info
    return ("new", name) if new else ("cur", f"{name}{names.INFO}{info}")


def _put(folder: int, content: bytes, place: Place, part: str, name: str) -> None:
    """Write one copy: it is in sight only when all of it is on the disk."""
    with directory("tmp", folder) as aside, directory(part, folder) as shelf:
        found = os.open(name, _FRESH, 0o600, dir_fd=aside)
        try:
            with open(found, "wb", closefd=False) as file:
                file.write(content)
            mtime_ns, mode, uid, gid = _facts(folder, place)
            os.fchown(found, uid, gid)
            os.fchmod(found, mode)
            os.utime(found, ns=(mtime_ns, mtime_ns))
            os.fsync(found)
        finally:
            os.close(found)
        move(aside, name, shelf, name)
        os.fsync(shelf)


def _facts(folder: int, place: Place) -> tuple[int, int, int, int]:
    """Return time, mode, owner and group: those of before, or else such as the folder's files have."""
    if place.record:
        mtime_ns, mode, uid, gid = Entry.of(place).facts
        return mtime_ns, mode & _READ_WRITE, uid, gid
    status = os.fstat(folder)
    return place.date_us * 1000, status.st_mode & _READ_WRITE, status.st_uid, status.st_gid
