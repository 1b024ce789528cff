"""What lies at a place now, against what lay there and what we leave there."""

import hashlib
import os
import stat
from dataclasses import dataclass, replace

from quell_agent import files
from quell_agent.before import Inode, inode_of
from quell_agent.persistence.naming import Named
from quell_agent.persistence.start import Start
from quell_agent.persistence.syntax import BY_NAME, UNIT

NOWHERE = "/dev/null"


@dataclass(frozen=True, slots=True)
class Sight:
    """What lies at a place.

    `original`: everything is as it was before. `unflagged`: everything but the attributes that forbid changes, which
    are set last. `differences` from what we leave there, in words; none: it is just that. `starts`: it would start the
    file.
    """

    identity: tuple[int, int] | None = None
    original: bool = False
    unflagged: bool = False
    differences: tuple[str, ...] = ()
    starts: bool = False


def sight_of(start: Start) -> Sight:
    """Look at a place."""
    try:
        with files.opened_folder(start.parent) as folder:
            if not start.folder.is_at(folder):
                return Sight(differences=("its folder is another one",))
            look = os.open(start.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return Sight(differences=("it is gone",))
    try:
        status = os.fstat(look)
        identity = (status.st_dev, status.st_ino)
        if stat.S_ISLNK(status.st_mode):
            return replace(_link(start, os.readlink("", dir_fd=look), status), identity=identity)
        if stat.S_ISREG(status.st_mode):
            return replace(_file(start, look), identity=identity)
        return Sight(identity, differences=("it is no file",))
    finally:
        os.close(look)


def text_at(start: Start) -> bytes:
    """Return the bytes of the file at a place."""
    with files.opened_folder(start.parent) as folder, files.opened_file(folder, start.name) as file:
        return files.bytes_of(file)


def _link(start: Start, target: str, status: os.stat_result) -> Sight:
    was = start.inode
    original = start.link and (target, status.st_uid, status.st_gid) == (start.original, was.uid, was.gid)
    ours = start.masked and target == NOWHERE
    starts = files.resolved(start.path) in start.named or (start.link and target == start.original)
    return Sight(None, original, original, () if ours else ("it leads elsewhere",), starts)


def _file(start: Start, look: int) -> Sight:
    descriptor = files.open_again(f"/proc/self/fd/{look}")
    try:
        now, text = inode_of(descriptor), files.bytes_of(descriptor)
    finally:
        os.close(descriptor)
    digest, was = hashlib.sha256(text).hexdigest(), start.inode
    same = not start.link and digest == start.original
    return Sight(
        original=same and was.equals(now),
        unflagged=same and was.equals_but_flags(now),
        differences=("it is no mask",) if start.masked else tuple(_differences(start, now, digest)),
        starts=bool(BY_NAME[start.syntax].edits(text, Named(start.named), start.home)) or _activates(start, same=same),
    )


def _activates(start: Start, *, same: bool) -> bool:
    """Tell whether it is a timer or the like that names no file itself, as it was."""
    return same and start.masked and BY_NAME[start.syntax] is UNIT


def _differences(start: Start, now: Inode, digest: str) -> list[str]:
    was = start.inode
    pairs = {
        "its content": (digest, start.after),
        "its owner": ((now.uid, now.gid), (was.uid, was.gid)),
        "its mode": (now.mode, was.mode),
        "its attributes": (now.attributes, was.attributes),
        "its protection against changes": (now.flags & ~was.flags, 0),
    }
    return [what for what, (here, expected) in pairs.items() if here != expected]
