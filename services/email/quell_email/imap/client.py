"""One connection, logged in for one mailbox: the commands that we use, in batches, at the server's pace."""

import re
import ssl
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from imapclient import IMAPClient, SocketTimeout
from imapclient.exceptions import IMAPClientAbortError, IMAPClientError
from imapclient.response_parser import parse_response

from quell_email.domain.mailboxes import Place, Volume
from quell_email.imap.settings import MailServer
from quell_runtime.seams import micros, moment

CONNECT_S, ANSWER_S = 5.0, 180.0
"""After it was killed, Dovecot waits for minutes for locks that nobody holds any more."""
BATCH = 1000
"""Messages in one command."""
NEEDED = ("UIDPLUS", "MOVE", "LIST-STATUS", "UNSELECT")
STATUS = "STATUS (MESSAGES UIDNEXT UIDVALIDITY)"
RECENT = "\\Recent"
SEARCHED = 50_000
"""UIDs in one search: its answer is one line, and lines have a limit."""
PIECE = 4 << 20
_APPENDED = re.compile(rb"\[APPENDUID \d+ (\d+)\]")
_ANSWERED = re.compile(rb"(\d+) ([\d:,]+) ([\d:,]+)")
_PLAIN_NAME = re.compile(r"[ -~]+")


class UnsupportedError(Exception):
    """The server lacks what we need. The argument is its name."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder as it is now. As long as the three numbers are the same, so are the UIDs in it."""

    name: str
    validity: int
    uidnext: int
    messages: int


class Pace:
    """Lets so many commands a second go, over all connections to a server."""

    def __init__(self, per_second: float) -> None:
        """Begin now."""
        self._gap = 1 / per_second
        self._turn = threading.Lock()
        self._next = 0.0

    def wait(self) -> None:
        """Wait for a turn."""
        with self._turn:
            now = time.monotonic()
            at = max(self._next, now)
            # What was not used for a while may be used at once, up to a tenth of a second's worth.
            self._next = max(at, now - 0.1) + self._gap
        if at > now:
            time.sleep(at - now)


class _Connection(IMAPClient):  # type: ignore[misc] # it has no types
    """What the library does not offer, on its own inner parts."""

    def list_status(self) -> list[Any]:
        """Return names and status of all folders: flags, separator, name; name, status."""
        self._checkok("list", *self._imap.xatom("LIST", '""', '"*"', "RETURN", f"({STATUS})"))
        listed, status = self._imap.response("LIST")[1], self._imap.response("STATUS")[1]
        return [parse_response([part for part in parts if part]) for parts in (listed, status)]

    def code(self, name: str) -> bytes:
        """Return what the last response code of a name said."""
        found = self._imap.response(name)[1]
        return found[-1] if found and found[-1] else b""


class Client:
    """The connection. Its methods block; one thread at a time."""

    def __init__(self, server: MailServer, mailbox: str, pace: Pace) -> None:
        """Connect and log in."""
        self.mailbox = mailbox
        self._pace = pace
        self._open: tuple[Folder, bool] | None = None
        secure = None if server.tls == "none" else _trusting(server.ca)
        self._imap = _Connection(
            server.address.host,
            server.address.port,
            ssl=server.tls == "implicit",
            ssl_context=secure,
            timeout=SocketTimeout(CONNECT_S, ANSWER_S),
        )
        # Names go to and fro as the server spells them, so that no folder is out of reach for its spelling.
        self._imap.folder_encode = False
        self._imap.normalise_times = False
        try:
            if server.tls == "starttls":
                self._imap.starttls(secure)
            self._imap.login(server.login(mailbox), server.password())
            self._check()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Hang up."""
        with suppress(OSError, IMAPClientError):
            self._imap.shutdown()

    def _check(self) -> None:
        for needed in NEEDED:
            if not self._imap.has_capability(needed):
                raise UnsupportedError(needed)

    @cached_property
    def strangers(self) -> tuple[str, ...]:
        """The prefixes of namespaces that are others', or shared."""
        if not self._imap.has_capability("NAMESPACE"):
            return ()
        self._pace.wait()
        found = self._imap.namespace()
        return tuple(prefix for spaces in (found.other, found.shared) for prefix, _ in spaces or () if prefix)

    def folders(self) -> tuple[list[Folder], dict[str, str]]:
        """Return the folders that can be opened, and the separator in each name that the server lists."""
        # Of an open folder the server may tell how it was.
        self._shut()
        self._pace.wait()
        listed, status = self._imap.list_status()
        separators = {_text(name): _text(mark or b"") for _, mark, name in _groups(listed, 3)}
        found = []
        for name, pairs in _groups(status, 2):
            numbers = dict(zip(pairs[::2], pairs[1::2], strict=True))
            if _PLAIN_NAME.fullmatch(_text(name)):
                validity, uidnext = numbers[b"UIDVALIDITY"], numbers[b"UIDNEXT"]
                found.append(Folder(_text(name), validity, uidnext, numbers[b"MESSAGES"]))
        return found, separators

    def open(self, folder: Folder, *, writable: bool = False) -> Folder | None:
        """Open a folder for what follows, and return how it was then; None if it is gone, or another of its name.

        What this tells is surer than what the list tells, for which a server may trust its notes.
        """
        if self._open and self._open[0].name == folder.name and (self._open[1] or not writable):
            return self._open[0] if self._open[0].validity == folder.validity else None
        self._open = None
        self._pace.wait()
        try:
            answer = self._imap.select_folder(folder.name, readonly=not writable)
        except IMAPClientAbortError:
            raise
        except IMAPClientError:
            return None
        if answer[b"UIDVALIDITY"] != folder.validity:
            return None
        uidnext = answer.get(b"UIDNEXT", folder.uidnext)
        now = Folder(folder.name, folder.validity, uidnext, answer[b"EXISTS"])
        self._open = now, writable
        return now

    def volume(self, folders: Iterable[Folder]) -> Volume:
        """Return how much is in these folders; one that is gone meanwhile has nothing."""
        messages = size = 0
        for folder in folders:
            if not self._imap.has_capability("STATUS=SIZE"):
                sizes = [each for _, each, _ in self.sizes(self.uids(folder.uidnext))] if self.open(folder) else []
                messages, size = messages + len(sizes), size + sum(sizes)
                continue
            self._pace.wait()
            try:
                status = self._imap.folder_status(folder.name, ("MESSAGES", "SIZE"))
            except IMAPClientAbortError:
                raise
            except IMAPClientError:
                continue
            messages, size = messages + status[b"MESSAGES"], size + status[b"SIZE"]
        return Volume(messages, size)

    def uids(self, end: int) -> set[int]:
        """Return the UIDs below an end in the open folder."""
        found: set[int] = set()
        for first in range(1, end, SEARCHED):
            self._pace.wait()
            found.update(self._imap.search(["UID", f"{first}:{min(first + SEARCHED, end) - 1}"]))
        return found

    def sizes(self, uids: Collection[int]) -> Iterator[tuple[int, int, int]]:
        """Yield UID, size in bytes, and internal date in microseconds since 1970."""
        for uid, found in self._fetch(uids, "RFC822.SIZE", "INTERNALDATE"):
            yield uid, found[b"RFC822.SIZE"], micros(found[b"INTERNALDATE"])

    def places(self, folder: str, uids: Collection[int]) -> dict[int, Place]:
        """Return how messages of the open folder are, as of a folder of that name."""
        found = {}
        for uid, answer in self._fetch(uids, "FLAGS", "INTERNALDATE"):
            flags = sorted(_text(flag) for flag in answer[b"FLAGS"])
            system = tuple(flag for flag in flags if flag.startswith("\\") and flag != RECENT)
            keywords = tuple(flag for flag in flags if not flag.startswith("\\"))
            found[uid] = Place(folder, system, keywords, micros(answer[b"INTERNALDATE"]))
        return found

    def bodies(self, uids: Collection[int]) -> Iterator[tuple[int, bytes]]:
        """Yield the bytes of messages. Small ones only: they come all at once."""
        for uid, found in self._fetch(uids, "BODY.PEEK[]"):
            if (content := found.get(b"BODY[]")) is not None:
                yield uid, content

    def pieces(self, uid: int, size: int) -> Iterator[bytes]:
        """Yield the bytes of a message piece by piece, up to so many."""
        for start in range(0, size, PIECE):
            for _, found in self._fetch([uid], f"BODY.PEEK[]<{start}.{min(PIECE, size - start)}>"):
                yield found[b"BODY[]<%d>" % start]

    def move(self, uids: Sequence[int], target: str) -> dict[int, int]:
        """Move messages of the open folder; return the new UID of each that was moved, as far as the server tells.

        Raises:
            IMAPClientError: It did not want to.

        """
        moved: dict[int, int] = {}
        for some in _batches(uids):
            self._pace.wait()
            self._imap.move(some, target)
            if told := _ANSWERED.fullmatch(self._imap.code("COPYUID")):
                moved |= dict(zip(_numbers(told[2]), _numbers(told[3]), strict=True))
        return moved

    def expunge(self, uids: Sequence[int]) -> None:
        """Remove messages of the open folder for good."""
        for some in _batches(uids):
            self._pace.wait()
            self._imap.delete_messages(some, silent=True)
            self._pace.wait()
            self._imap.uid_expunge(some)

    def append(self, folder: str, content: bytes, place: Place | None = None) -> int:
        """Add a message to a folder, as a place says or as of now; return its UID, 0 if the server does not tell.

        Raises:
            IMAPClientError: It did not want to.

        """
        self._pace.wait()
        flags = (*place.flags, *place.keywords) if place else ()
        answer = self._imap.append(folder, content, flags, moment(place.date_us) if place else None)
        told = _APPENDED.search(answer or b"")
        return int(told[1]) if told else 0

    def create(self, folder: str) -> Folder:
        """Make a folder, if it is not there, and return it.

        Raises:
            IMAPClientError: The server does not want to.

        """
        self._pace.wait()
        try:
            self._imap.create_folder(folder)
        except IMAPClientAbortError:
            raise
        except IMAPClientError as error:
            if "ALREADYEXISTS" not in str(error):
                raise
        self._pace.wait()
        status = self._imap.folder_status(folder, ("MESSAGES", "UIDNEXT", "UIDVALIDITY"))
        return Folder(folder, status[b"UIDVALIDITY"], status[b"UIDNEXT"], status[b"MESSAGES"])

    def delete(self, folder: str) -> None:
        """Delete a folder, if it is there."""
        self._shut()
        self._pace.wait()
        with suppress(IMAPClientError):
            self._imap.delete_folder(folder)

    def _shut(self) -> None:
        if self._open:
            self._open = None
            self._pace.wait()
            self._imap.unselect_folder()

    def _fetch(self, uids: Collection[int], *items: str) -> Iterator[tuple[int, Mapping[bytes, Any]]]:
        for some in _batches(sorted(uids)):
            self._pace.wait()
            yield from self._imap.fetch(some, items).items()


@lru_cache
def _trusting(ca: Path | None) -> ssl.SSLContext:
    """Return what checks the server's certificate. To read all whom a machine trusts takes longer than to log in."""
    return ssl.create_default_context(cafile=str(ca) if ca else None)


def _batches(uids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(uids), BATCH):
        yield uids[start : start + BATCH]


def _numbers(sequence: bytes) -> list[int]:
    """Return the numbers of `3:5,9`, in its order."""
    found: list[int] = []
    for part in sequence.split(b","):
        first, _, last = part.partition(b":")
        found += range(int(first), int(last or first) + 1)
    return found


def _groups(parsed: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(parsed), size):
        yield parsed[start : start + size]


def _text(name: bytes | int) -> str:
    """Return a name; the library takes one of digits alone for a number."""
    return str(name) if isinstance(name, int) else name.decode("latin-1")
