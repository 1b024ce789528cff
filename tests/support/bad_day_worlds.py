"""What an action of each plane changes in the world, so that it can be counted there and not in our own reports."""

import os
import secrets
import shutil
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from quell.remediation.v1 import device_pb2, email_pb2, remediation_pb2, target_pb2

from mail_tree import MailTree, Photograph

PEOPLE = ("ann", "bob", "cleo")


class World(Protocol):
    """Something that an action changes."""

    def order(self) -> remediation_pb2.Remediation:
        """Return what is asked for."""

    def is_done(self) -> None:
        """Fail unless it is done, once."""

    def is_back(self) -> None:
        """Fail unless everything is as before."""


@dataclass
class Url(World):
    """A URL: one entry in the table when it is blocked."""

    database: Path
    pattern: str = field(default_factory=lambda: f"https://{secrets.token_hex(8)}.example.net/x")

    def order(self) -> remediation_pb2.Remediation:
        """Ask to block it."""
        return remediation_pb2.Remediation(block_url=email_pb2.BlockUrl(pattern=self.pattern))

    def _entries(self) -> int:
        with closing(sqlite3.connect(self.database)) as database:
            query = "SELECT count(*) FROM blocked_urls WHERE pattern LIKE ?"
            found: int = database.execute(query, (f"%{self.pattern.partition('//')[2]}%",)).fetchone()[0]
            return found

    def is_done(self) -> None:
        """One entry."""
        assert self._entries() == 1

    def is_back(self) -> None:
        """No entry."""
        assert self._entries() == 0


@dataclass
class Mail(World):
    """A campaign in three mailboxes: each message lies in the world once, in sight or held."""

    tree: MailTree
    tag: str = field(default_factory=lambda: secrets.token_hex(8))
    before: dict[str, Photograph] = field(init=False)

    def __post_init__(self) -> None:
        """Deliver it, and honest mail beside it."""
        for number, who in enumerate(self._mailboxes):
            head = f"From: Pay <pay@{self.tag}.test>\nSubject: {self.tag}\nMessage-ID: <{number}@{self.tag}.test>\n"
            self.tree.deliver(who, f"{head}\n{self.tag}\n".encode(), flags=None if number else "FS")
            self.tree.deliver(who, f"From: a@example.org\nSubject: Lunch\n\n{number}?\n".encode())
        self.before = {who: self.tree.photograph(who) for who in self._mailboxes}

    @property
    def _mailboxes(self) -> tuple[str, ...]:
        return tuple(f"{person}.{self.tag}@example.org" for person in PEOPLE)

    def order(self) -> remediation_pb2.Remediation:
        """Ask to delete the campaign wherever it lies."""
        cluster = target_pb2.MessageCluster(subject=self.tag, sender_domain=f"{self.tag}.test")
        messages = target_pb2.MessageSelector(cluster=cluster)
        return remediation_pb2.Remediation(soft_delete_messages=email_pb2.SoftDeleteMessages(messages=messages))

    def _copies(self, who: str) -> int:
        files = [path for path in self.tree.root(who).parent.rglob("*") if path.is_file()]
        return sum(path.read_bytes().endswith(f"\n{self.tag}\n".encode()) for path in files)

    def is_done(self) -> None:
        """Out of sight, kept once, and the honest mail as before."""
        for who in self._mailboxes:
            assert self._copies(who) == 1
            seen = self.tree.photograph(who).messages
            assert seen == {
                path: facts for path, facts in self.before[who].messages.items() if self.tag.encode() not in facts[0]
            }

    def is_back(self) -> None:
        """Each mailbox as before, to the nanosecond."""
        for who in self._mailboxes:
            assert self._copies(who) == 1
            assert self.tree.photograph(who) == self.before[who]


@dataclass
class File(World):
    """A program that runs: gone and stopped when it is quarantined."""

    folder: Path
    device: str
    path: Path = field(init=False)
    process: "subprocess.Popen[bytes]" = field(init=False)
    before: tuple[object, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Make it, and run it."""
        self.path = self.folder / secrets.token_hex(8)
        shutil.copy("/bin/sleep", self.path)
        with self.path.open("ab") as out:
            out.write(secrets.token_bytes(16))
        self.path.chmod(0o750)
        os.utime(self.path, ns=(1_700_000_000_000_000_001, 1_700_000_000_000_000_002))
        self.before = self._facts()
        self.process = subprocess.Popen([self.path, "600"])  # noqa: S603 - ours

    def _facts(self) -> tuple[object, ...]:
        status = self.path.stat()
        return self.path.read_bytes(), status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, status.st_nlink

    def order(self) -> remediation_pb2.Remediation:
        """Ask to stop and quarantine it."""
        file = target_pb2.FileSelector(path=str(self.path))
        return remediation_pb2.Remediation(
            stop_and_quarantine=device_pb2.StopAndQuarantine(device=self.device, file=file)
        )

    def is_done(self) -> None:
        """Gone, and what ran is stopped."""
        assert not self.path.exists()
        assert self.process.wait(5) < 0

    def is_back(self) -> None:
        """Fail unless the file is as before."""
        assert self._facts() == self.before

    def close(self) -> None:
        """End what still runs."""
        self.process.kill()
        self.process.wait()
