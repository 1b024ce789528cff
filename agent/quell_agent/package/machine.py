"""The machine as the sources see it: a root folder, its users' homes, a window of time, limits."""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

from quell_agent import files
from quell_agent.package.entry_names import entry_of
from quell_agent.package.item import Item, Status, because
from quell_agent.package.limits import Limits
from quell_agent.package.secret import is_secret
from quell_agent.package.walk import KERNEL, NotLocalError, Walk, file_system

CHUNK = 1 << 18
HOME = "%%users.homedir%%"
HOME_FIELD = 5


@dataclass(frozen=True)
class Machine:
    """What a source reads through. `since` is the begin of the window, in seconds of Unix time.

    `taken` is what earlier sources have put into the archive: by entry, what the manifest says of it.
    """

    walk: Walk
    since: float = 0
    limits: Limits = field(default_factory=Limits)
    taken: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def live(self) -> bool:
        """Tell whether this is the machine that we run on, and not a copy of its files."""
        return not self.walk.root

    @cached_property
    def homes(self) -> list[str]:
        """Return the folders of all users, those of accounts of the system too where they have any."""
        lines = self.text("/etc/passwd").splitlines()
        named = {line.split(":")[HOME_FIELD] for line in lines if line.count(":") > HOME_FIELD}
        found = {"/root", *named, *(f"/home/{name}" for name in self.walk.names("/home"))}
        nowhere = {"/", "/bin", "/usr/sbin", "/usr/bin", "/dev", "/proc", "/run", "/tmp", "/usr/games"}  # noqa: S108 - names
        return sorted(home for home in found - nowhere if home.startswith("/") and os.path.isdir(self.walk.root + home))  # noqa: PTH112

    def text(self, path: str) -> str:
        """Return the begin of a file as text; empty if it can't be read."""
        try:
            return b"".join(self._read(self.walk.canonical(path), 0, self.limits.file_bytes)).decode(
                "utf-8", "surrogateescape"
            )
        except (OSError, files.NotAFileError):
            return ""

    def paths(self, patterns: Iterable[str]) -> Iterator[str]:
        """Yield what patterns mean, each path once, for each user's home if they say so."""
        seen = set[str]()
        for pattern in patterns:
            for home in self.homes if HOME in pattern else ("",):
                for path in self.walk.matches(pattern.replace(HOME, home)):
                    if path not in seen:
                        seen.add(path)
                        yield path

    def copies(self, patterns: Sequence[str]) -> Iterator[Item]:
        """Yield an item for whatever is there of some patterns; a pattern that means too much is told so."""
        most = self.limits.files_of_a_pattern
        for pattern in patterns:
            paths = self.paths((pattern,))
            for item in map(self.file, islice(paths, most)):
                if item.status != Status.MISSING:
                    yield item
            if more := sum(1 for _ in paths):
                yield Item(Status.LEFT_OUT, path=pattern, reason="TOO_MANY", message=f"{more} more")

    def file(self, path: str, *, most_bytes: int = 0, tail: bool = False) -> Item:
        """Return a file as an item; links, folders, pipes and devices by their facts alone.

        A file that is larger than may be is left out, or its end taken if `tail` says so.
        """
        path = self.walk.canonical(path)
        entry, told = entry_of(path), files.shown(path)
        if (known := self.taken.get(entry)) is not None:
            facts = {name: value for name, value in known.items() if name not in {"source", "definition"}}
            return Item(Status(known["status"]), told, entry=entry, facts=facts)
        parent, _, name = path.rpartition("/")
        try:
            with self.walk.folder(parent or "/") as folder:
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                facts = facts_of(status)
                if not stat.S_ISREG(status.st_mode):
                    return _unread(told, facts, status, folder, name)
                if is_secret(path):
                    return Item(Status.LEFT_OUT, told, reason="SECRET", facts=facts)
                return self._copy(path, facts, most_bytes or self.limits.file_bytes, tail=tail)
        except NotLocalError:
            return Item(Status.LEFT_OUT, told, reason="NOT_LOCAL")
        except OSError as error:
            state, reason, message = because(error)
            return Item(state, told, reason=reason, message=message)

    def _copy(self, path: str, facts: dict[str, object], most_bytes: int, *, tail: bool) -> Item:
        """Return what is to be read when the archive asks for it."""
        told, parent = files.shown(path), path.rpartition("/")[0] or "/"
        with self.walk.folder(parent) as folder:
            kernel = file_system(folder) in KERNEL
        size = facts["file_size"]
        assert isinstance(size, int)  # noqa: S101 - it was made here
        if kernel:
            content, most = self._read(path, 0, self.limits.live_bytes), self.limits.live_bytes
            return Item(Status.COLLECTED, told, entry=entry_of(path), content=content, most_bytes=most)
        if size > most_bytes and not tail:
            return Item(Status.LEFT_OUT, told, reason="TOO_LARGE", facts=facts)
        begin = max(0, size - most_bytes)
        state = Status.CUT if begin else Status.COLLECTED
        why = {"reason": "TOO_LARGE", "message": f"from byte {begin}"} if begin else {}
        content = self._read(path, begin, size)
        return Item(state, told, entry=entry_of(path), facts=facts, content=content, most_bytes=size - begin, **why)

    def _read(self, path: str, begin: int, end: int) -> Iterator[bytes]:
        """Read what was there when it was looked at: a file that grows does not go on for ever."""
        parent, _, name = path.rpartition("/")
        with self.walk.folder(parent or "/") as folder, files.opened_file(folder, name) as file:
            while begin < end and (block := os.pread(file, min(CHUNK, end - begin), begin)):
                begin += len(block)
                yield block


def facts_of(status: os.stat_result) -> dict[str, object]:
    """Return what the file system knows of a file; times in seconds of Unix time."""
    return {
        "mode": stat.filemode(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
        "file_size": status.st_size,
        "links": status.st_nlink,
        "inode": status.st_ino,
        "modify_time": status.st_mtime,
        "change_time": status.st_ctime,
        "access_time": status.st_atime,
    }


def _unread(told: str, facts: dict[str, object], status: os.stat_result, folder: int, name: str) -> Item:
    """Return the item of what is no regular file. A pipe or a device is never opened."""
    if stat.S_ISLNK(status.st_mode):
        facts["link"] = files.shown(os.readlink(name, dir_fd=folder))
    if stat.S_ISLNK(status.st_mode) or stat.S_ISDIR(status.st_mode):
        return Item(Status.LISTED, told, facts=facts)
    return Item(Status.LEFT_OUT, told, reason="NOT_A_FILE", facts=facts)
