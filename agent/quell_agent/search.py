"""From an order to the files that it means: every name of each, with everything that is needed to put it back."""

import os
import secrets
from collections.abc import Iterable, Iterator, Sequence

from quell.remediation.v1 import device_pb2

from quell_agent import files
from quell_agent.before import Before, Inode, folder_of, inode_of
from quell_agent.files import Content
from quell_agent.processes import Processes, Running, Wanted
from quell_agent.protected import Protected
from quell_agent.vault import Vaults
from quell_executor.effect import RefusedError

Found = dict[str, Before]


class Search:
    """Looks on disk, among what runs, and in our own vaults. It changes nothing."""

    def __init__(self, vaults: Vaults, processes: Processes, protected: Protected) -> None:
        """Take where to look."""
        self._vaults = vaults
        self._processes = processes
        self._protected = protected

    def find(self, order: device_pb2.StopAndQuarantine) -> list[Before]:
        """Return every name of every file that is meant; what is left alone has its reason.

        Raises:
            RefusedError: The path of the order is no file, or we may not read it.

        """
        wanted, path = Content(order.file.sha256, order.file.sha1), files.meant(order.file.path)
        folders = [files.meant(folder) for folder in order.search_folders]
        running = self._processes.running(Wanted(wanted.matches)) if order.file.sha256 or order.file.sha1 else []
        running = [each for each in running if path in {"", each.path}]
        found: Found = {}
        if path:
            self._add(found, path, wanted, folders, named=True)
        else:
            walked = (each for folder in folders for each in files.walk(folder))
            lying = (place for place, status in walked if not files.is_sparse_giant(status))
            for place in (*(each.path for each in running if each.linked), *lying):
                self._add(found, place, wanted, folders)
        self._add_nameless(found, running)
        self._add_held(found, wanted, path)
        return list(found.values())

    def _add(self, found: Found, path: str, wanted: Content, folders: Sequence[str], *, named: bool = False) -> None:
        """Add the file at a path under all its names, if its content is wanted."""
        if any(before.path == path for before in found.values()):
            return
        parent, _, name = path.rpartition("/")
        try:
            with files.opened_folder(parent or "/") as folder, files.opened_file(folder, name) as file:
                inode, status = inode_of(file), os.fstat(file)
                # Read again before it is taken: what is remembered only finds it.
                content = self._processes.content_of(file)
        except (OSError, files.NotAFileError) as error:
            if named and not isinstance(error, FileNotFoundError):
                raise _refusal(error) from error
            return
        if not wanted.matches(content):
            return
        covered = self._protected.covers(path, status)
        names = (path,) if covered else tuple(sorted(_names_of(path, inode, folders)))
        covered = covered or any(self._protected.covers(each, status) for each in names)
        refused = "PROTECTED" if covered else _forbids(names, inode)
        record = secrets.token_hex(16)
        for each in names:
            with files.opened_folder(each.rpartition("/")[0] or "/") as folder:
                before = Before(each, content, record, names, inode, folder_of(folder), refused)
            found[before.key] = before

    def _add_nameless(self, found: Found, running: Iterable[Running]) -> None:
        """Add what runs without a name of its own here: a deleted file, memory, a file of another root folder."""
        paths = {before.path for before in found.values()}
        for each in running:
            if each.path not in paths and each.content.sha256:
                refused = "NOT_REACHABLE" if each.linked else ""
                before = Before(each.path, each.content, secrets.token_hex(16), (each.path,), refused=refused)
                found.setdefault(before.key, before)

    def _add_held(self, found: Found, wanted: Content, path: str) -> None:
        for room in self._vaults.rooms():
            for _, before in room.held():
                if wanted.matches(before.content) and path in {"", before.path}:
                    found.setdefault(before.key, before)


def _names_of(path: str, inode: Inode, folders: Sequence[str]) -> set[str]:
    """Return all names of a file that can be found, near ones first: beside it, in the folders, on its whole mount."""
    names = {path}
    for folder in (path.rpartition("/")[0] or "/", *folders, _top_of_mount(path)):
        if len(names) >= inode.links:
            break
        names |= {name for name, status in files.walk(folder) if inode.is_at(status)}
    return names


def _top_of_mount(path: str) -> str:
    folder = path
    while not os.path.ismount(folder) and folder != "/":
        folder = folder.rpartition("/")[0] or "/"
    return folder


def _forbids(names: Sequence[str], inode: Inode) -> str:
    """Return why an ordinary user could not take the file and give it back exactly; empty: he can."""
    if os.geteuid() == 0:
        return ""
    groups = {os.getegid(), *os.getgroups()}
    ours = inode.uid == os.geteuid() and inode.gid in groups
    plain = not inode.flags and all(name.startswith("user.") for name in inode.attributes)
    parents = {name.rpartition("/")[0] or "/" for name in names}
    if ours and plain and all(os.access(parent, os.W_OK | os.X_OK) for parent in parents):
        return ""
    return "NOT_PERMITTED"


def _refusal(error: Exception) -> RefusedError:
    if isinstance(error, files.EndlessError):
        return RefusedError("TOO_LARGE", "the file can't be read to its end in time")
    if isinstance(error, PermissionError):
        return RefusedError("NOT_PERMITTED", "the agent may not read the file")
    return RefusedError("NOT_A_FILE", "the path is no regular file, or leads over a link")


def named(order: device_pb2.StopAndQuarantine) -> frozenset[str]:
    """Return the keys of what an order names: a file, a path, or a content, wherever it runs or in some folders."""
    if order.file.path:
        path = files.shown(files.meant(order.file.path))
        # With its content it is one file: to fence the path alone would keep others from what it is not about.
        return frozenset({f"device.file:{order.file.sha256}:{path}" if order.file.sha256 else f"device.path:{path}"})
    content = order.file.sha256 or f"sha1-{order.file.sha1}"
    places = [f":{files.shown(files.meant(folder))}" for folder in order.search_folders] or [""]
    return frozenset(f"device.content:{content}{place}" for place in places)


def names_that_mean(before: Before) -> frozenset[str]:
    """Return every key under which an order could mean a file: its path, its content, its content in a folder above."""
    contents = (before.content.sha256, f"sha1-{before.content.sha1}")
    path = files.shown(before.path)
    above = list(_prefixes(path))
    by_content = {f"device.content:{content}{place}" for content in contents for place in ("", *above)}
    return frozenset({f"device.path:{path}", f"device.file:{before.content.sha256}:{path}", *by_content})


def _prefixes(path: str) -> Iterator[str]:
    folder = path
    while folder := folder.rpartition("/")[0]:
        yield f":{folder}"
    yield ":/"
