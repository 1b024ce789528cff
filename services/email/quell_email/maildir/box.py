"""One mailbox's tree: its folders and the messages in them."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from quell_email.domain.mailboxes import Place
from quell_email.domain.selection import SENT
from quell_email.files import directory, listed, read_text
from quell_email.maildir import names
from quell_email.maildir.entries import place_of
from quell_email.maildir.index import File

KEYWORDS = "dovecot-keywords"
UIDS = "dovecot-uidlist"


@dataclass(frozen=True, slots=True)
class Shelf:
    """`cur` or `new` of one folder, open: `path` under the mailbox's root, and what keyword letters mean there."""

    folder: str
    path: str
    handle: int
    letters: dict[str, str]

    def files(self) -> Iterator[File]:
        """Yield the messages; one that goes meanwhile is left out."""
        with os.scandir(self.handle) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode) and not entry.name.startswith("."):
                        yield File(self.handle, entry.name, status)

    def place(self, file: File) -> Place:
        """Return where and how a message is."""
        return place_of(self.folder, self.path, file.name, file.status, self.letters)


def shelves(root: Path, *, sent: bool) -> Iterator[Shelf]:
    """Yield every `cur` and `new`, each open only until the next; the folder of sent mail only if it is meant."""
    with directory(root) as top:
        folders = [name for name in listed(top) if name.startswith(".") and name.strip(".")]
        for name in ["", *sorted(folders)]:
            folder = names.folder_of(name)
            if folder.rpartition("/")[2].casefold() in SENT and not sent:
                continue
            with suppress(FileNotFoundError, NotADirectoryError), directory(name or ".", top) as handle:
                letters = names.read_keywords(read_text(KEYWORDS, handle) or "")
                for part in ("cur", "new"):
                    with suppress(FileNotFoundError, NotADirectoryError), directory(part, handle) as inner:
                        yield Shelf(folder, f"{name}/{part}" if name else part, inner, letters)


def uids(root: Path, folder: str) -> tuple[int, dict[int, str]] | None:
    """Return UIDVALIDITY and the base name of each UID, or None if the server has written no list."""
    with (
        directory(root) as top,
        suppress(FileNotFoundError),
        directory(names.directory_of(folder) or ".", top) as handle,
    ):
        text = read_text(UIDS, handle)
        return names.read_uids(text) if text is not None else None
    return None
