"""Maildir++ trees on disk, as Dovecot writes them, and photographs of them to compare."""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from quell_email.maildir import names

CAMPAIGN = b"""\
Received: from mx.example.org (mx.example.org [10.0.0.1]) by store.example.org; Mon, 16 Nov 2026 10:00:00 +0000
Received: from sender (bad.evil.example [203.0.113.7]) by mx.example.org; Mon, 16 Nov 2026 10:00:00 +0000
From: "Payroll" <pay@mail.evil.example>
To: staff@example.org
Subject: =?utf-8?q?Re=3A_Your_salary_=E2=82=AC?=
Message-ID: <campaign-1@evil.example>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="xyz"

--xyz
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: quoted-printable

<p>Look <a href=3D"https://evil.example/%6cogin?u=3D1&amp;x=3D2">here</a>.</p>
--xyz
Content-Type: application/pdf; name="bill.pdf"
Content-Transfer-Encoding: base64

SSBhbSBubyBQREYu
--xyz--
""".replace(b"\n", b"\r\n")
ATTACHMENT = hashlib.sha256(b"I am no PDF.").hexdigest()


def ordinary(number: int) -> bytes:
    """Return an honest message."""
    head = f"From: Ann <ann@example.org>\nSubject: Lunch {number}\nMessage-ID: <lunch-{number}@example.org>\n"
    return f"{head}\nAt {number}?\n".encode()


@dataclass(frozen=True)
class Photograph:
    """All of a mailbox that its user can see, and whatever could tell that it was touched."""

    messages: dict[str, tuple[bytes, int, int, int, int, tuple[str, ...]]]


@dataclass(frozen=True)
class MailTree:
    """Mailboxes under one folder: `{address}/Maildir`."""

    base: Path

    @property
    def pattern(self) -> str:
        """The pattern that finds them."""
        return f"{self.base}/{{address}}/Maildir"

    def root(self, address: str) -> Path:
        """Return a mailbox's tree."""
        return self.base / address / "Maildir"

    def folder(self, address: str, folder: str = "INBOX") -> Path:
        """Return a folder, made if it was not there."""
        found = self.root(address) / names.directory_of(folder)
        for part in ("cur", "new", "tmp"):
            (found / part).mkdir(parents=True, exist_ok=True)
        return found

    def deliver(  # noqa: PLR0913 - what a message in a Maildir has
        self,
        address: str,
        raw: bytes,
        *,
        folder: str = "INBOX",
        flags: str | None = "S",
        base: str = "",
        mtime: float = 1_763_287_200.123456789,
        mode: int = 0o640,
    ) -> Path:
        """Put a message into a folder; without flags it is new."""
        where = self.folder(address, folder)
        base = base or f"{int(mtime)}.M{len(os.listdir(where / 'cur'))}P1.host,S={len(raw)}"  # noqa: PTH208
        path = where / "new" / base if flags is None else where / "cur" / f"{base}:2,{flags}"
        path.write_bytes(raw)
        path.chmod(mode)
        os.utime(path, ns=(int(mtime * 1e9), int(mtime * 1e9) + 789))
        return path

    def keywords(self, address: str, folder: str, known: list[str]) -> None:
        """Write what Dovecot writes for keyword letters."""
        text = "".join(f"{number} {keyword}\n" for number, keyword in enumerate(known))
        (self.folder(address, folder) / "dovecot-keywords").write_text(text)

    def photograph(self, address: str) -> Photograph:
        """Return every message in sight: bytes, times, mode, owner, and the meaning of its keyword letters."""
        found = {}
        root = self.root(address)
        for path in sorted(root.rglob("*")):
            if path.parent.name in ("cur", "new") and path.is_file():
                known = path.parent.parent / "dovecot-keywords"
                letters = names.read_keywords(known.read_text()) if known.exists() else {}
                status = path.stat()
                facts = (status.st_mtime_ns, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
                meant = tuple(sorted(names.keywords_of(path.name, letters).values()))
                found[str(path.relative_to(root))] = (path.read_bytes(), *facts, meant)
        return Photograph(found)


def sha256(raw: bytes) -> str:
    """Return the digest by which a message is told."""
    return hashlib.sha256(raw).hexdigest()
