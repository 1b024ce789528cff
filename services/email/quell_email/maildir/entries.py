"""What restores a Maildir's file besides what every backend keeps: the `record` of its place."""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quell_email.domain.mailboxes import Place
from quell_email.maildir import names


@dataclass(frozen=True, slots=True)
class Entry:
    """A file: `directory` is the `cur` or `new` of its folder, below the mailbox's root; `letters` its keywords'."""

    directory: str
    name: str
    mtime_ns: int
    mode: int
    uid: int
    gid: int
    letters: Mapping[str, str]

    @classmethod
    def of(cls, place: Place) -> "Entry":
        """Return that of a place of ours."""
        record: Mapping[str, Any] = place.record
        return cls(**record)

    @property
    def facts(self) -> tuple[int, int, int, int]:
        """What of a file stays when it is renamed."""
        return self.mtime_ns, self.mode, self.uid, self.gid


def facts_of(status: os.stat_result) -> tuple[int, int, int, int]:
    """Return what of a file stays when it is renamed: time of its content in ns, mode, owner and group."""
    return status.st_mtime_ns, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid


def place_of(folder: str, directory: str, name: str, status: os.stat_result, letters: Mapping[str, str]) -> Place:
    """Return where and how a file is; `letters` is what the folder's keyword letters mean."""
    meant = names.keywords_of(name, letters)
    mtime_ns, mode, uid, gid = facts_of(status)
    return Place(
        folder,
        names.flags_of(name),
        tuple(sorted(meant.values())),
        mtime_ns // 1000,
        {
            "directory": directory,
            "name": name,
            "mtime_ns": mtime_ns,
            "mode": mode,
            "uid": uid,
            "gid": gid,
            "letters": {**meant},
        },
    )
