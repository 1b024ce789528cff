"""The sandbox of the demo: a running malicious file with a copy, a suspicious one, mailboxes with a campaign."""

import contextlib
import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

MARKER = b"QUELL-DEMO-MALWARE-d3b07384d113edec49eaa6238ad5ff00"
RULE = f"""\
rule quell_demo_malware {{
  meta:
    description = "The harmless file of Quell's demo"
  strings:
    $marker = "{MARKER.decode()}"
  condition:
    $marker
}}
"""
PHISHING_URL = "https://login.example-payments.test/verify?account=1"
SUBJECT = "Your account is on hold"
SENDER = "support@example-payments.test"
MAILBOXES = ("ann@example.org", "bob@example.org", "cleo@example.org")
ORDINARY = (
    "Lunch on Friday", "Minutes of Monday", "Your parcel", "Re: budget", "Invoice 4711", "Holiday list",
    "Welcome aboard", "Door code", "Re: lunch on Friday", "Printer on floor 2", "Quarterly figures", "Thanks!",
)  # fmt: skip
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@dataclass(slots=True)
class Sandbox:
    """Where the demo's things lie, and the process that runs."""

    root: Path
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def running(self) -> Path:
        """The malicious file that runs."""
        return self.root / "home" / "ann" / "Downloads" / "invoice-viewer"

    @property
    def copy(self) -> Path:
        """Its copy."""
        return self.root / "home" / "bob" / "bin" / "updater"

    @property
    def suspicious(self) -> Path:
        """The file that is merely suspicious."""
        return self.root / "home" / "bob" / "notes.scr"

    def maildir(self, mailbox: str) -> Path:
        """Return a mailbox's Maildir."""
        return self.root.parent / "mail" / mailbox / "Maildir"

    def make(self) -> None:
        """Make files and mail, and start the malicious one."""
        for path in (self.running, self.copy, self.suspicious):
            path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile("/bin/sleep", self.running)
        with self.running.open("ab") as program:
            # No other demo's: what has the same content is stopped wherever on the machine it runs.
            program.write(MARKER + os.urandom(16))
        self.running.chmod(0o755)
        shutil.copy2(self.running, self.copy)
        self.suspicious.write_bytes(b"#!/bin/sh\n# something that nobody knows\n")
        self.suspicious.chmod(0o4750)
        for path in (self.running, self.copy, self.suspicious):
            with contextlib.suppress(OSError):  # not every file system has them
                os.setxattr(path, "user.origin", b"https://example-payments.test/")
            _date(path, START)
        for number, mailbox in enumerate(MAILBOXES):
            self._fill(mailbox, number)
        self.process = subprocess.Popen([self.running, "3600"])  # noqa: S603 - our own copy of sleep

    def running_pid(self) -> int:
        """Return the process id of the malicious file's process, or 0 if it is gone."""
        return self.process.pid if self.process is not None and self.process.poll() is None else 0

    def stop(self) -> None:
        """End the process if it still runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def _fill(self, mailbox: str, number: int) -> None:
        maildir = self.maildir(mailbox)
        for folder in ("", ".Work"):
            for part in ("cur", "new", "tmp"):
                (maildir / folder / part).mkdir(parents=True, exist_ok=True)
        (maildir / ".Work" / "maildirfolder").touch()
        (maildir / "dovecot-keywords").write_text("0 $Label1\n1 Reported\n")
        for place, subject in enumerate(ORDINARY[number::3]):
            letter = _mail("colleague@example.org", mailbox, subject, "Nothing special.\n", f"{number}.{place}")
            _deliver(maildir / ("" if place % 2 else ".Work"), letter, place + 10 * number, flags="S")
        campaign = _mail(SENDER, "customers@example.org", SUBJECT, f"Confirm now: {PHISHING_URL}\n", "campaign")
        _deliver(maildir, campaign, 50 + number, flags=("FSb", "", "")[number])


def _mail(sender: str, to: str, subject: str, text: str, name: str) -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, to, subject
    message["Date"] = START
    message["Message-ID"] = f"<{name}@{sender.partition('@')[2]}>"
    message.set_content(text)
    return message.as_bytes()


def _deliver(folder: Path, message: bytes, number: int, flags: str) -> None:
    """Put a message where Dovecot would: read ones with their flags and keywords into `cur`, fresh ones into `new`."""
    name = f"{int(START.timestamp()) + number}.M{number}P1.example,S={len(message)}"
    path = folder / "cur" / f"{name}:2,{flags}" if flags else folder / "new" / name
    path.write_bytes(message)
    _date(path, START + timedelta(minutes=number))


def _date(path: Path, when: datetime) -> None:
    os.utime(path, (when.timestamp(), when.timestamp()))


@dataclass(frozen=True, slots=True)
class Look:
    """One file as a look at the disk finds it; two equal looks are the same file but for its inode."""

    sha256: str
    owner: tuple[int, int]
    mode: int
    modified_ns: int
    attributes: tuple[tuple[str, bytes], ...]


def look(path: Path) -> Look:
    """Look at one file."""
    found = path.stat()
    attributes = tuple((name, os.getxattr(path, name)) for name in sorted(os.listxattr(path)))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Look(digest, (found.st_uid, found.st_gid), found.st_mode, found.st_mtime_ns, attributes)


def messages(maildir: Path) -> dict[str, Look]:
    """Look at every message that the mailbox's user can see, by folder and file name."""
    parts = [path for folder in (maildir, *maildir.glob(".*")) for path in (folder / "cur", folder / "new")]
    return {str(path.relative_to(maildir)): look(path) for part in parts if part.is_dir() for path in part.iterdir()}
