"""The steps that disarm a place and put it back. Each can be done again after a crash at any point.

What lay there is not copied but exchanged, in one step that the kernel does whole, with what is to lie there; so there
is no moment without the one or the other, and what comes back is the very file, with its number, times and links. In
the vault, named by its record:

    RECORD.note     who takes what away here, and what it was like; there from before the exchange until after undo
    RECORD.start    before the exchange what is to lie there, after it what lay there
"""

import base64
import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from quell_agent import files
from quell_agent.before import Inode, inode_of
from quell_agent.persistence.sight import NOWHERE, sight_of, text_at
from quell_agent.persistence.start import Start
from quell_agent.persistence.syntax import applied
from quell_agent.vault import Room
from quell_runtime.seams import Point


@dataclass(frozen=True, slots=True)
class Note:
    """What the vault says of a place: the action that disarmed it, and what it was like."""

    action: str
    start: Start


def notes(room: Room) -> Iterator[Note]:
    """Yield what is noted in a vault, the places aside that were never changed."""
    for name in sorted(files.names_in(room.descriptor)):
        if name.endswith(".note"):
            written = json.loads(room.read(name))
            note = Note(written["action"], Start.load(base64.b64decode(written["start"])))
            if is_taken(room, note.start):
                yield note


def is_taken(room: Room, start: Start) -> bool:
    """Tell whether what lay at the place is here."""
    return room.identity(_held(start)) == start.identity


def is_noted(room: Room, start: Start) -> bool:
    """Tell whether a vault knows of the place."""
    return room.has(_note(start))


def is_whole(room: Room, start: Start) -> bool:
    """Tell whether what is held is what lay there, to the byte."""
    with contextlib.suppress(OSError, files.NotAFileError):
        if start.link:
            return os.readlink(_held(start), dir_fd=room.descriptor) == start.original
        with files.opened_file(room.descriptor, _held(start)) as file:
            now = inode_of(file)
            same = hashlib.sha256(files.bytes_of(file)).hexdigest() == start.original
            return same and start.inode.equals_but_flags(now)
    return False


def disarm(room: Room, start: Start, action: str, point: Point) -> None:
    """Exchange what lies at the place, if it is what was planned, for what starts nothing."""
    sight = sight_of(start)
    if is_taken(room, start) or not sight.unflagged or sight.identity != start.identity:
        return
    if not is_noted(room, start):
        note = json.dumps({"action": action, "start": base64.b64encode(start.dump()).decode()}).encode()
        room.create(_note(start), lambda out: _write(out, note))
    point("persistence.noted")
    room.drop(_held(start))
    if start.masked:
        os.symlink(NOWHERE, _held(start), dir_fd=room.descriptor)
        room.sync()
    else:
        text = applied(text_at(start), start.edits)
        room.create(_held(start), lambda out: _dressed(out, text, start.inode))
    point("persistence.made")
    with files.opened_folder(start.parent) as folder:
        _set_flags(folder, start, start.inode.flags & ~(files.IMMUTABLE | files.APPEND))
        files.exchange(folder, start.name, room.descriptor, _held(start))
        if not (is_taken(room, start) and is_whole(room, start)):
            # Somebody put another thing there between look and exchange: it goes back to where it came from.
            files.exchange(folder, start.name, room.descriptor, _held(start))
            _set_flags(folder, start, start.inode.flags)
            room.drop(_held(start), _note(start))
        os.fsync(folder)
        room.sync()
    point("persistence.swapped")


def rearm(room: Room, start: Start, point: Point) -> None:
    """Put back what lay at the place, unless others have changed what we left there."""
    if is_taken(room, start):
        sight = sight_of(start)
        if sight.differences or not is_whole(room, start):
            return
        with files.opened_folder(start.parent) as folder:
            files.exchange(folder, start.name, room.descriptor, _held(start))
            if room.identity(_held(start)) != sight.identity:
                files.exchange(folder, start.name, room.descriptor, _held(start))
                return
            os.fsync(folder)
            room.sync()
        point("persistence.restored")
    if sight_of(start).unflagged:
        finish(start)
        point("persistence.finished")
        room.drop(_held(start), _note(start))
        point("persistence.forgotten")


def finish(start: Start) -> None:
    """Set what comes last: the attributes that forbid changes, and the times of the folder."""
    with contextlib.suppress(OSError), files.opened_folder(start.parent) as folder:
        _set_flags(folder, start, start.inode.flags)
        start.folder.rewind(folder)


def _set_flags(folder: int, start: Start, flags: int) -> None:
    if not start.link:
        with contextlib.suppress(OSError, files.NotAFileError), files.opened_file(folder, start.name) as file:
            if start.inode.is_at(os.fstat(file)):
                files.set_flags(file, flags)


def _write(out: BinaryIO, content: bytes) -> None:
    out.write(content)


def _dressed(out: BinaryIO, text: bytes, inode: Inode) -> None:
    out.write(text)
    out.flush()
    inode.dress(out.fileno())


def _held(start: Start) -> str:
    return f"{start.record}.start"


def _note(start: Start) -> str:
    return f"{start.record}.note"
