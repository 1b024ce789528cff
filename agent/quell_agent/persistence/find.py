"""From files that are to be taken to every place that would start them again. It changes nothing."""

import contextlib
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from quell_agent import files
from quell_agent.before import Before, Folder, Inode, folder_of, inode_of
from quell_agent.files import Content
from quell_agent.persistence import units
from quell_agent.persistence.naming import Named
from quell_agent.persistence.places import Place, Places
from quell_agent.persistence.start import Start, by_content
from quell_agent.persistence.swap import notes
from quell_agent.persistence.syntax import UNIT, applied, name_of
from quell_agent.protected import Protected
from quell_agent.vault import Vaults

LARGEST = 16 << 20
"""A larger file is none that anybody starts by; it is not read."""
PROGRAM = re.compile(rb"^\s*ExecStart\s*=", re.MULTILINE)
ACTIVATED = re.compile(rb"^\s*(?:Unit|Service)\s*=\s*(\S+)", re.MULTILINE)
ACTIVATORS = (".timer", ".path", ".socket")


@dataclass(frozen=True, slots=True)
class _Sight:
    """What stands at a place: its bytes, or where it leads if it is a link."""

    place: Place
    inode: Inode
    folder: Folder
    text: bytes
    link: bool = False


class Persistence:
    """Looks through the places, and for what our own vaults hold of them."""

    def __init__(self, vaults: Vaults, places: Places, protected: Protected) -> None:
        """Take where to look."""
        self._vaults = vaults
        self._places = places
        self._protected = protected

    @property
    def managed(self) -> bool:
        """Tell whether a manager of units is at work on what is found here."""
        return self._places.root == "/" and units.are_managed()

    def find(self, befores: Sequence[Before]) -> list[Start]:
        """Return every place that would start one of the files; what is left alone has its reason."""
        wanted = by_content(befores)
        taken = {before.path for before in befores}
        found: dict[str, Start] = {}
        if wanted:
            sights = [sight for place in self._places if place.path not in taken for sight in _seen(place)]
            for content, paths in wanted.items():
                starts = self._starting(sights, content, Named(paths))
                found |= {start.key: start for start in starts}
        for room in self._vaults.rooms():
            for note in notes(room):
                if note.start.content in wanted:
                    found.setdefault(note.start.key, note.start)
        return list(found.values())

    def _starting(self, sights: Sequence[_Sight], content: Content, named: Named) -> Iterator[Start]:
        masked: set[str] = set()
        for sight in sights:
            start = self._start(sight, content, named)
            if start is not None:
                masked |= {start.name} if start.masked else set()
                yield start
        for sight in sights:
            if _activates(sight) & masked and not self._protected.packaged(sight.place.path):
                yield _noted(sight, content, named, masked=True)

    def _start(self, sight: _Sight, content: Content, named: Named) -> Start | None:
        place = sight.place
        if sight.link:
            return _noted(sight, content, named, masked=True) if self._leads(sight, named) else None
        if not place.syntax.edits(sight.text, named, place.home):
            return None
        alone = _starts_nothing_else(sight, named) and not self._protected.packaged(place.path)
        return _noted(sight, content, named, masked=alone)

    def _leads(self, sight: _Sight, named: Named) -> bool:
        """Tell whether a link is one to a file, or a unit that lies elsewhere and starts one."""
        target = files.resolved(sight.place.path)
        if target in named.paths:
            return True
        if sight.place.syntax is not UNIT or "/systemd/" in target:
            return False
        elsewhere = Place(target, UNIT, sight.place.home)
        return any(_starts_nothing_else(found, named) for found in _seen(elsewhere))


def _seen(place: Place) -> list[_Sight]:
    """Return what stands at a place, or nothing if it goes away meanwhile or can't be read."""
    parent, _, name = place.path.rpartition("/")
    with contextlib.suppress(OSError, files.NotAFileError), files.opened_folder(parent or "/") as folder:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            target = os.fsencode(os.readlink(name, dir_fd=folder))
            return [_Sight(place, inode_of_link(status), folder_of(folder), target, link=True)]
        with files.opened_file(folder, name) as file:
            inode = inode_of(file)
            if inode.size <= LARGEST:
                return [_Sight(place, inode, folder_of(folder), files.bytes_of(file))]
    return []


def inode_of_link(status: os.stat_result) -> Inode:
    """Look at a link, which has no attributes of its own that anybody sets."""
    times = (status.st_atime_ns, status.st_mtime_ns)
    owner = (status.st_uid, status.st_gid)
    return Inode(status.st_dev, status.st_ino, status.st_nlink, status.st_size, 0o777, *owner, *times, 0, {})


def _starts_nothing_else(sight: _Sight, named: Named) -> bool:
    """Tell whether a unit is there for the file alone: each of its programs names it."""
    if sight.place.syntax is not UNIT or not sight.place.path.endswith(".service"):
        return False
    edits = sight.place.syntax.edits(sight.text, named, sight.place.home)
    programs = [bool(PROGRAM.match(edit.old)) for edit in edits]
    return any(programs) and not PROGRAM.search(applied(sight.text, edits))


def _activates(sight: _Sight) -> set[str]:
    """Return the services that a timer, a path or a socket starts."""
    stem, dot, suffix = sight.place.path.rpartition("/")[2].rpartition(".")
    if sight.place.syntax is not UNIT or sight.link or dot + suffix not in ACTIVATORS:
        return set()
    return {os.fsdecode(name) for name in ACTIVATED.findall(sight.text)} or {f"{stem}.service"}


def _noted(sight: _Sight, content: Content, named: Named, *, masked: bool) -> Start:
    place = sight.place
    edits = () if masked else place.syntax.edits(sight.text, named, place.home)
    return Start(
        path=place.path,
        content=content,
        named=tuple(sorted(named.paths)),
        record=secrets.token_hex(16),
        syntax=name_of(place.syntax),
        original=os.fsdecode(sight.text) if sight.link else hashlib.sha256(sight.text).hexdigest(),
        inode=sight.inode,
        folder=sight.folder,
        home=place.home,
        after="" if masked else hashlib.sha256(applied(sight.text, edits)).hexdigest(),
        edits=edits,
        link=sight.link,
        masked=masked,
        unit=place.unit,
        refused=_forbids(place.path, sight.inode),
    )


def _forbids(path: str, inode: Inode) -> str:
    """Return why an ordinary user could not change the place and put it back exactly; empty: he can."""
    parent = path.rpartition("/")[0] or "/"
    if os.geteuid() == 0 or (inode.uid == os.geteuid() and os.access(parent, os.W_OK | os.X_OK)):
        return ""
    return "NOT_PERMITTED"
