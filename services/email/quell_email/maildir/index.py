"""What is known of the files in mailboxes, so that each is read once.

A file is known by device, inode, size, and times of change of content and of name: whoever touches it, even with the
times set back, makes it unknown. Nothing here is written to disk; after a start everything is read once more.
"""

import hashlib
import os
import stat
from dataclasses import dataclass

from quell_email.domain.facts import Headers
from quell_email.domain.legible import answers
from quell_email.domain.mime import MAX_HEADER_BYTES
from quell_email.domain.selection import Criterion
from quell_email.files import regular
from quell_email.parsing.parser import Parser
from quell_email.remembering import remember

MAX_KNOWN = 200_000
"""Files of which something is known at a time: about 1 KB each."""
MAX_BODY = 64 << 20
Stamp = tuple[int, int, int, int, int]


@dataclass(slots=True)
class Facts:
    """What was read of one file. `*_read` tell what was tried; None where it can't be read."""

    sha256: str
    headers: Headers | None = None
    headers_read: bool = False
    marks: frozenset[bytes] | None = None
    marks_read: bool = False


@dataclass(frozen=True, slots=True)
class File:
    """A message's file, in a directory that is open while it is looked at."""

    parent: int
    name: str
    status: os.stat_result


class Index:
    """Facts of files, for worker threads."""

    def __init__(self, parser: Parser, most: int = MAX_KNOWN) -> None:
        """Know nothing yet, and of no more than so many files at a time."""
        self._parser = parser
        self._most = most
        self._known: dict[Stamp, Facts] = {}

    def sha256(self, file: File) -> str:
        """Return the digest of a file's bytes.

        Raises:
            OSError: It is gone, or no regular file.

        """
        return self._facts(file).sha256

    def headers(self, file: File) -> Headers | None:
        """Return what the headers say, or None if they can't be read."""
        facts = self._facts(file)
        if not facts.headers_read:
            with regular(file.name, file.parent) as found:
                facts.headers = self._parser.headers(os.pread(found, MAX_HEADER_BYTES + 1, 0))
            facts.headers_read = True
        return facts.headers

    def marks(self, file: File) -> frozenset[bytes] | None:
        """Return the marks of the body, or None if it can't be read."""
        facts = self._facts(file)
        if not facts.marks_read:
            if file.status.st_size <= MAX_BODY:
                with regular(file.name, file.parent) as found:
                    facts.marks = self._parser.marks(os.pread(found, MAX_BODY, 0))
            facts.marks_read = True
        return facts.marks

    def answers(self, file: File, wanted: Criterion) -> bool | None:
        """Tell whether the message answers the criterion, but for its place; None: it can't be read, so who knows."""
        return answers(_Message(self, file), wanted)

    def _facts(self, file: File) -> Facts:
        known = self._known.get(_stamp(file.status))
        if known is None:
            with regular(file.name, file.parent) as found, open(found, "rb", closefd=False) as content:
                status = os.fstat(found)
                if not stat.S_ISREG(status.st_mode):
                    raise FileNotFoundError(file.name)
                known = Facts(hashlib.file_digest(content, "sha256").hexdigest())
            remember(self._known, _stamp(status), known, self._most)
        return known


@dataclass(frozen=True, slots=True)
class _Message:
    """A file that is read as far as is needed."""

    index: Index
    file: File

    @property
    def sha256(self) -> str:
        return self.index.sha256(self.file)

    def headers(self) -> Headers | None:
        return self.index.headers(self.file)

    def marks(self) -> frozenset[bytes] | None:
        return self.index.marks(self.file)


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
