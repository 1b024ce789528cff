"""The steps that take a file into a vault and give it back. Each can be done again after a crash at any point."""

import contextlib
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import structlog

from quell_agent import files
from quell_agent.before import Before, inode_of
from quell_agent.vault import NoVaultError, Room, back, raw
from quell_agent.vault_file import VaultFile
from quell_runtime.locked import VaultDamagedError
from quell_runtime.seams import Point

log = structlog.get_logger()
HINDRANCES = (OSError, NoVaultError, VaultDamagedError, files.NotAFileError)


@contextmanager
def logged(event: str) -> Iterator[None]:
    """Let what hinders one step pass: the probe sees that it was not done, and the other steps go on."""
    try:
        yield
    except HINDRANCES as error:
        log.warning(event, error=type(error).__name__)


@dataclass(frozen=True, slots=True)
class Sight:
    """What lies at the path of a plan: which file; the planned content; the planned file itself; everything it had.

    `unflagged`: with everything but the attributes that forbid changes, which are set last.
    """

    identity: tuple[int, int] | None = None
    content: bool = False
    file: bool = False
    restored: bool = False
    unflagged: bool = False


def look(before: Before) -> Sight:
    """Look at the path of a plan."""
    try:
        with _folder_and_file(before) as (_, file):
            now = inode_of(file)
            if files.content_of(file).sha256 != before.content.sha256:
                return Sight()
    except (OSError, files.NotAFileError):
        return Sight()
    was = before.inode
    if was is None:
        return Sight(content=True)
    return Sight(
        identity=(now.device, now.number),
        content=True,
        file=(was.device, was.number) == (now.device, now.number),
        restored=was.equals(now),
        unflagged=was.equals_but_flags(now),
    )


def obstacle(before: Before) -> str:
    """Return why a name can't be given back, as a reason; empty: it can."""
    try:
        with files.opened_folder(before.parent) as folder:
            if before.folder is None or not before.folder.is_at(folder):
                return "FOLDER_CHANGED"
            os.stat(before.name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError as missing:
        return "" if missing.filename == before.name else "FOLDER_CHANGED"
    except OSError:
        return "FOLDER_CHANGED"
    return "PATH_TAKEN"


def move_in(room: Room, group: Sequence[Before]) -> None:
    """Move the names of the planned file, and no other file, into the vault."""
    for before in group:
        if not room.has(raw(before)):
            with logged("move_failed"), _folder_and_file(before) as (folder, file):
                if _is_planned(room, before, file):
                    _move(room, before, folder, file)


def _move(room: Room, before: Before, folder: int, file: int) -> None:
    # What forbids changes forbids moving too.
    files.set_flags(file, files.flags_of(file) & ~(files.IMMUTABLE | files.APPEND))
    files.move(folder, before.name, room.descriptor, raw(before))
    status = os.fstat(file)
    if room.identity(raw(before)) != (status.st_dev, status.st_ino):
        # Somebody put another thing under the name between look and move: it goes back to where it came from.
        try:
            files.move(room.descriptor, raw(before), folder, before.name)
        except FileExistsError:
            files.move(room.descriptor, raw(before), folder, f"{before.name}.{secrets.token_hex(4)}")
    os.fsync(folder)
    room.sync()


def _is_planned(room: Room, before: Before, file: int) -> bool:
    assert before.inode is not None  # noqa: S101 - only files that have a name are moved
    if not before.inode.is_at(os.fstat(file)):
        return False
    siblings = (f"{before.record}.{index}.raw" for index in range(len(before.names)))
    # A name of a file that is in the vault already needs no second look at the content.
    return any(map(room.has, siblings)) or files.content_of(file).sha256 == before.content.sha256


def lock(room: Room, group: Sequence[Before], action: str, point: Point) -> None:
    """Put the moved names of one file under lock, then delete them."""
    room.seal(group, action)
    point("quarantine.sealed")
    if room.has(f"{group[0].record}.sealed"):
        room.drop(*map(raw, group))
        point("quarantine.dropped")


def give_back(room: Room, group: Sequence[Before], point: Point) -> None:
    """Put names of one file back, as links of one file, and whatever can't be put back leave in the vault."""
    fit = [before for before in group if not room.has(back(before))]
    source = _source(room, group[0]) if fit else None
    if source is not None:
        point("restore.opened")
        for before in fit:
            if _link(room, source, before):
                point("restore.linked")
                room.create(back(before), lambda _: None)
        point("restore.marked")
    given = [before for before in group if room.has(back(before))]
    if given:
        room.drop(f"{given[0].record}.out", *map(raw, given))
        point("restore.dropped")
        finish(given)
        _forget(room, given, point)


def finish(given: Sequence[Before]) -> None:
    """Set what comes last: the attributes that forbid changes, and the times of the folders that we changed."""
    for before in given:
        assert before.inode is not None and before.folder is not None  # noqa: S101, PT018 - they had a name
        with contextlib.suppress(OSError, files.NotAFileError), _folder_and_file(before) as (folder, file):
            now = inode_of(file)
            if before.inode.equals_but_flags(now):
                os.utime(file, ns=(before.inode.accessed, before.inode.modified))
                files.set_flags(file, before.inode.flags)
            os.fsync(folder)
    for before in given:
        assert before.folder is not None  # noqa: S101 - as above
        with contextlib.suppress(OSError), files.opened_folder(before.parent) as folder:
            before.folder.rewind(folder)


def _source(room: Room, before: Before) -> str | None:
    """Return what in the vault the names are to be links of, made if need be; None: nothing is held."""
    record = before.record
    raws = (f"{record}.{index}.raw" for index in range(len(before.names)))
    if (found := next(filter(room.has, raws), None)) is not None:
        return found
    if not room.has(f"{record}.out"):
        if not room.has(f"{record}.sealed"):
            return None
        with room.sealed(record) as sealed:
            if _link_of_sibling(room, sealed.manifest.names):
                return f"{record}.out"
            room.create(f"{record}.out", lambda out: _fill(out, before, sealed))
    return f"{record}.out"


def _link_of_sibling(room: Room, names: Sequence[Before]) -> bool:
    """Use a name of the same file that was given back before, so that the names are links of one file again."""
    for before in names:
        if not room.has(back(before)) or not look(before).restored:
            continue
        out, name = f"{before.record}.out", before.name
        with contextlib.suppress(OSError, files.NotAFileError), _folder_and_file(before) as (folder, file):
            os.link(name, out, src_dir_fd=folder, dst_dir_fd=room.descriptor, follow_symlinks=False)
            if os.path.samestat(os.stat(out, dir_fd=room.descriptor, follow_symlinks=False), os.fstat(file)):
                return True
            room.drop(out)
    return False


def _link(room: Room, source: str, before: Before) -> bool:
    """Give the file one of its names back, unless the name is taken or its folder is another one by now."""
    name = before.name
    with contextlib.suppress(OSError), files.opened_folder(before.parent) as folder:
        if before.folder is None or not before.folder.is_at(folder):
            return False
        try:
            os.link(source, name, src_dir_fd=room.descriptor, dst_dir_fd=folder, follow_symlinks=False)
        except FileExistsError:
            ours = os.stat(source, dir_fd=room.descriptor, follow_symlinks=False)
            return os.path.samestat(ours, os.stat(name, dir_fd=folder, follow_symlinks=False))
        os.fsync(folder)
        return True
    return False


def _forget(room: Room, group: Sequence[Before], point: Point) -> None:
    """Drop the file under lock once all its names were given back, then their marks."""
    sealed, names = f"{group[0].record}.sealed", tuple(group)
    if room.has(sealed):
        with room.sealed(group[0].record) as opened:
            names = opened.manifest.names
        if not all(room.has(back(before)) for before in names):
            return
        room.drop(sealed)
        point("restore.forgotten")
    room.drop(*map(back, names))


@contextmanager
def _folder_and_file(before: Before) -> Iterator[tuple[int, int]]:
    with (
        files.opened_folder(before.parent) as folder,
        files.opened_file(folder, before.name) as file,
    ):
        yield folder, file


def _fill(out: BinaryIO, before: Before, sealed: VaultFile) -> None:
    inode = before.inode
    assert inode is not None  # noqa: S101 - only files that had a name are put back
    out.writelines(sealed.blocks())
    out.flush()
    inode.dress(out.fileno())
    os.utime(out.fileno(), ns=(inode.accessed, inode.modified))
