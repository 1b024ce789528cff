"""Mailboxes of each backend, and what their users do in them: for what every backend must do alike."""

import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Protocol

import pytest
from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError

from mail_lab import MASTER, MailLab
from mail_tree import MailTree
from quell_email.domain.mailboxes import Mailboxes
from quell_email.imap.backend import ImapMailboxes
from quell_email.imap.index import Index as ImapIndex
from quell_email.imap.settings import ImapServer
from quell_email.maildir import names
from quell_email.maildir.backend import Maildirs
from quell_email.maildir.index import Index as MaildirIndex
from quell_email.parsing.parser import Parser
from quell_runtime.seams import Point, micros, nowhere

ANN, BOB, CLEO = ALL = ("ann@example.org", "bob@example.org", "cleo@example.org")
DATE = 1_763_287_200


class Seen(NamedTuple):
    """A message as its user sees it. `date` is the internal date, in seconds since 1970."""

    folder: str
    raw: bytes
    flags: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    date: int = DATE


class MailWorld(Protocol):
    """Mailboxes, from their users' side."""

    @property
    def mailboxes(self) -> Mailboxes:
        """The backend over them."""

    def another(self, point: Point = nowhere) -> Mailboxes:
        """Return a backend that knows nothing yet, as after a start; it may die at a point."""

    def deliver(self, address: str, *messages: Seen) -> None:
        """Put messages into a mailbox, with what flags, keywords and dates they have."""

    def see(self, address: str) -> list[Seen]:
        """Return all that the user sees, in order."""

    def file(self, address: str, raw: bytes, source: str, target: str) -> None:
        """Have the user move a message from one folder to another."""

    def rename(self, address: str, folder: str, name: str) -> None:
        """Have the user rename a folder."""

    def delete(self, address: str, raw: bytes) -> None:
        """Have the user delete a message for good."""

    def held(self, address: str) -> int:
        """Return how many messages we hold of a mailbox."""


def crlf(raw: bytes) -> bytes:
    """Return a message with the line ends of the wire, as every backend keeps them."""
    return raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


@dataclass
class MaildirWorld:
    """Trees on disk."""

    tree: MailTree
    parser: Parser

    def __post_init__(self) -> None:
        """Look at them by a backend."""
        self.mailboxes = self.another()

    def another(self, point: Point = nowhere) -> Maildirs:
        """Return a backend with nothing in its index."""
        return Maildirs(self.tree.pattern, MaildirIndex(self.parser), point)

    def deliver(self, address: str, *messages: Seen) -> None:
        """Write files, and the list of keywords."""
        self.tree.folder(address)
        for message in messages:
            known = self._keywords(address, message.folder, message.keywords)
            flags = [letter for letter, flag in names.FLAGS.items() if flag in message.flags]
            signs = "".join(sorted(flags + [letter for letter, word in known.items() if word in message.keywords]))
            number = sum(1 for _ in self.tree.root(address).rglob("*"))
            path = self.tree.deliver(
                address, message.raw, folder=message.folder, flags=signs, base=f"{number}.file", mode=0o600
            )
            os.utime(path, (message.date, message.date))

    def see(self, address: str) -> list[Seen]:
        """Read the files."""
        found = []
        for path in self._files(address):
            folder = path.parent.parent
            name = names.folder_of("" if folder == self.tree.root(address) else folder.name)
            keywords = tuple(sorted(names.keywords_of(path.name, self._keywords(address, name)).values()))
            flags = tuple(sorted(names.flags_of(path.name)))
            found.append(Seen(name, path.read_bytes(), flags, keywords, int(path.stat().st_mtime)))
        return sorted(found)

    def file(self, address: str, raw: bytes, source: str, target: str) -> None:
        """Rename the file, with its keywords in the letters that they have there."""
        path = self._one(address, raw, source)
        meant = names.keywords_of(path.name, self._keywords(address, source))
        known = self._keywords(address, target, tuple(meant.values()))
        name = names.renamed(path.name, meant, known)
        assert name
        path.rename(self.tree.folder(address, target) / "cur" / name)

    def rename(self, address: str, folder: str, name: str) -> None:
        """Rename the directory."""
        self.tree.folder(address, folder).rename(self.tree.root(address) / names.directory_of(name))

    def delete(self, address: str, raw: bytes) -> None:
        """Unlink the files."""
        for path in self._files(address):
            if path.read_bytes() == raw:
                path.unlink()

    def held(self, address: str) -> int:
        """Count files in the hold."""
        hold = self.tree.root(address).parent / ".quell-Maildir"
        return sum(1 for path in hold.iterdir() if path.name.count(".") == 2) if hold.exists() else 0

    def _keywords(self, address: str, folder: str, more: tuple[str, ...] = ()) -> dict[str, str]:
        """Return the folder's keywords by letter, with more of them entered first."""
        path = self.tree.folder(address, folder) / "dovecot-keywords"
        known = [*names.read_keywords(path.read_text()).values()] if path.exists() else []
        known += [keyword for keyword in more if keyword not in known]
        self.tree.keywords(address, folder, known)
        return names.read_keywords(path.read_text())

    def _files(self, address: str) -> list[Path]:
        found = self.tree.root(address).rglob("*")
        return [path for path in found if path.parent.name in ("cur", "new") and path.is_file()]

    def _one(self, address: str, raw: bytes, source: str) -> Path:
        within = self.tree.folder(address, source)
        return next(path for path in self._files(address) if path.parent.parent == within and path.read_bytes() == raw)


@dataclass
class ImapWorld:
    """A Dovecot."""

    lab: MailLab
    parser: Parser
    folder: Path
    backends: list[ImapMailboxes] = field(default_factory=list)
    commands_per_second: float = 100_000

    def __post_init__(self) -> None:
        """Make all mailboxes new, and look at them by a backend."""
        self.lab.wipe()
        (self.folder / "mailboxes").write_text("# all\n" + "\n".join(ALL))
        (self.folder / "password").write_text(f"{MASTER}\n")
        self.server = ImapServer.model_validate(
            {
                "address": f"127.0.0.1:{self.lab.imap}",
                "tls": "none",
                "master_user": "exec",
                "master_password": self.folder / "password",
                "mailboxes": self.folder / "mailboxes",
                "commands_per_second": self.commands_per_second,
            }
        )
        self.mailboxes = self.another()

    def another(self, point: Point = nowhere) -> ImapMailboxes:
        """Return a backend with nothing in its index."""
        found = ImapMailboxes(self.server, ImapIndex(self.parser), point)
        self.backends.append(found)
        return found

    def deliver(self, address: str, *messages: Seen) -> None:
        """Append."""
        with self._user(address) as client:
            for folder in sorted({message.folder for message in messages}):
                if not client.folder_exists(folder):
                    client.create_folder(folder)
                client.multiappend(folder, [_appended(message) for message in messages if message.folder == folder])

    def see(self, address: str) -> list[Seen]:
        """Read all folders."""
        found = []
        with self._user(address) as client:
            for name in _folders(client):
                client.select_folder(name, readonly=True)
                for answer in client.fetch(client.search(), ["FLAGS", "INTERNALDATE", "BODY.PEEK[]"]).values():
                    marks = sorted(flag.decode() for flag in answer[b"FLAGS"] if flag != b"\\Recent")
                    system = tuple(mark for mark in marks if mark.startswith("\\"))
                    keywords = tuple(mark for mark in marks if not mark.startswith("\\"))
                    date = micros(answer[b"INTERNALDATE"]) // 1_000_000
                    found.append(Seen(name, answer[b"BODY[]"], system, keywords, date))
        return sorted(found)

    def file(self, address: str, raw: bytes, source: str, target: str) -> None:
        """Move it."""
        with self._user(address) as client:
            if not client.folder_exists(target):
                client.create_folder(target)
            client.select_folder(source)
            client.move(_uids(client, raw)[:1], target)

    def rename(self, address: str, folder: str, name: str) -> None:
        """Rename it."""
        with self._user(address) as client:
            client.rename_folder(folder, name)

    def delete(self, address: str, raw: bytes) -> None:
        """Delete it from all folders."""
        with self._user(address) as client:
            for name in _folders(client):
                client.select_folder(name)
                if uids := _uids(client, raw):
                    client.delete_messages(uids)
                    client.expunge(uids)

    def held(self, address: str) -> int:
        """Count what lies in the hidden folders, as the executor sees them."""
        with self.lab.executor(address) as client:
            ours = [name for name in _folders(client) if name.startswith("Recoverable Items/quell/")]
            held = [name for name in ours if not name.endswith("/ledger")]
            return sum(_messages(client, name) for name in held)

    async def close(self) -> None:
        """Hang up."""
        for backend in self.backends:
            await backend.close()

    @contextlib.contextmanager
    def _user(self, address: str) -> Iterator[IMAPClient]:
        with self.lab.user(address) as client:
            client.normalise_times = False
            yield client


def _appended(message: Seen) -> dict[str, object]:
    flags = (*message.flags, *message.keywords)
    return {"msg": message.raw, "flags": flags, "date": datetime.fromtimestamp(message.date, UTC)}


def _folders(client: IMAPClient) -> list[str]:
    return [name for flags, _, name in client.list_folders() if b"\\Noselect" not in flags]


def _messages(client: IMAPClient, folder: str) -> int:
    """Count them; a folder that a server was killed in the middle of deleting is listed, and holds none."""
    with contextlib.suppress(IMAPClientError):
        return int(client.folder_status(folder, ["MESSAGES"])[b"MESSAGES"])
    return 0


def _uids(client: IMAPClient, raw: bytes) -> list[int]:
    answers = client.fetch(client.search(), ["BODY.PEEK[]"])
    return [uid for uid, answer in answers.items() if answer[b"BODY[]"] == raw]


@pytest.fixture(params=["maildir", "imap"])
async def mail(request: pytest.FixtureRequest, parser: Parser, tmp_path: Path) -> AsyncIterator[MailWorld]:
    """Return empty mailboxes of each backend."""
    if request.param == "maildir":
        yield MaildirWorld(MailTree(tmp_path / "mail"), parser)
        return
    world = ImapWorld(request.getfixturevalue("lab"), parser, tmp_path)
    try:
        yield world
    finally:
        await world.close()
