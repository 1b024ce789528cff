"""What a package is made of: items, each with what became of it."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, auto

from quell_agent import files


class Status(StrEnum):
    """What became of an item.

    COLLECTED: its content is in the archive. CUT: a part of it is. LISTED: a folder, a link, a mere place: its facts
    are all. LEFT_OUT: by a limit or a rule. MISSING: it is not there, or went away. FAILED: it could not be read.
    """

    @staticmethod
    def _generate_next_value_(name: str, *_: object) -> str:
        return name

    COLLECTED = auto()
    CUT = auto()
    LISTED = auto()
    LEFT_OUT = auto()
    MISSING = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that was looked at: a path, or a command.

    `entry` is its name in the archive, empty if nothing of it goes there; `content` then is its bytes, of which there
    are at most `most_bytes`. Whoever reads `content` may meet an `OSError`: what came before it counts.
    """

    status: Status
    path: str = ""
    command: Sequence[str] = ()
    entry: str = ""
    reason: str = ""
    message: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
    content: Iterable[bytes] = ()
    most_bytes: int = 0

    def told(self) -> dict[str, object]:
        """Return what the manifest says of it."""
        what = {"path": self.path} if self.path else {"command": list(self.command)}
        told = {"entry": self.entry, **what, "status": self.status, "reason": self.reason, "message": self.message}
        return {name: value for name, value in {**told, **self.facts}.items() if value not in ("", [])}


def document(entry: str, path: str, rows: Iterable[object]) -> Item:
    """Return what was gathered from many places, one row a line, as a JSON list."""
    lines = ",\n".join(json.dumps(row) for row in rows)
    content = f"[\n{lines}\n]\n".encode()
    return Item(Status.COLLECTED, path, entry=entry, content=(content,), most_bytes=len(content))


def because(error: OSError) -> tuple[Status, str, str]:
    """Return status, reason and message for what could not be read."""
    text = os.strerror(error.errno) if error.errno else type(error).__name__
    if isinstance(error, FileNotFoundError | NotADirectoryError | ProcessLookupError):
        return Status.MISSING, "NOT_FOUND", text
    return Status.FAILED, "NOT_PERMITTED" if isinstance(error, PermissionError) else "NOT_READABLE", text


def text_of(raw: bytes) -> str:
    """Return bytes that should be text as messages write them."""
    return files.shown(os.fsdecode(raw))
