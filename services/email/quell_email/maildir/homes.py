"""The folders of users on disk, their homes and their mail, by the address of their mailbox."""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path


class Homes:
    """The folders that a pattern names: `/var/mail/{address}` or `/var/mail/{address}/Maildir`."""

    def __init__(self, pattern: str) -> None:
        """Find them by the pattern."""
        before, _, after = pattern.partition("{address}")
        self._parent = Path(before[: before.rfind("/") + 1])
        self._rest = after.partition("/")[2]
        start, end = before[before.rfind("/") + 1 :], after.partition("/")[0]
        self._named = re.compile(f"{re.escape(start)}([^.].*){re.escape(end)}")

    def all(self) -> Mapping[str, Path]:
        """Return every one that is there."""
        found = {}
        with suppress(FileNotFoundError), os.scandir(self._parent) as entries:
            for entry in entries:
                named = self._named.fullmatch(entry.name)
                home = self._parent / entry.name / self._rest
                if named and home.is_dir():
                    found[named[1].casefold()] = home
        return found
