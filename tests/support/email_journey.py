"""A deployment, and a mail server that it looks after: the real processes of both, on loopback.

`quell up` runs beside a Dovecot with Pigeonhole. The email service reaches the mailboxes in one of two ways: on disk,
where the server keeps them, or by IMAP and ManageSieve. What is done to mail is seen by the server's own `doveadm`.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from device_journey import OWN_KEY
from house import free_ports, up
from mail_lab import MASTER, MailLab
from quell_cli import deployment
from quell_cli.deployment import Folder, Ports

BIN = Path(sys.executable).parent
PORT = re.compile(r"\b74(4[3-8])\b")
"""Ports as the documentation has them."""
TIME = 120
"""Seconds that a command may take."""


@dataclass(frozen=True)
class EmailJourney:
    """Where the deployment and the mail server are."""

    folder: Path
    port: int
    lab: MailLab

    def at_desk(self, script: str, *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run lines of a shell as people at the desk do: in the deployment's parent folder, with `quell` at hand."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("QUELL")}
        environment |= {"PATH": f"{BIN}:{os.environ['PATH']}", "COLUMNS": "120"}
        moved = PORT.sub(lambda found: str(self.port + int(found[1]) - 43), script)
        return _run(moved, self.folder, environment, check=check)

    def at_server(self, script: str, *, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run lines of a shell as root of the mail server, with the page's programs at hand."""
        environment = {"PATH": f"{self.folder / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
        return _run(script, self.folder / "server", environment, check=check)


CAMPAIGN = """\
From: Payroll <pay@mail.evil.example>
To: staff@example.org
Subject: Your salary
Message-ID: <salary-1@evil.example>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="part"

--part
Content-Type: text/plain

Look here: https://login.evil.example/verify?u=1
--part
Content-Type: application/pdf; name="bill.pdf"
Content-Transfer-Encoding: base64

SSBhbSBubyBQREYu
--part--
"""
ORDINARY = "From: Ann <ann@example.org>\nSubject: Lunch\nMessage-ID: <lunch@example.org>\n\nAt one?\n"
GRACE = "grace@example.org"
TO = "dave@example.org erin@example.org frank@example.org"


@contextmanager
def journey(folder: Path, lab: MailLab, backend: str) -> Iterator[EmailJourney]:
    """Have it running; `backend` is `maildir` or `imap`."""
    home, base = Folder(folder / ".quell"), free_ports()
    deployment.make(home, Ports(base))
    config = home.config("email")
    config.write_text(_email(config.read_text(encoding="utf-8"), lab, folder, backend), encoding="utf-8")
    (folder / "server").mkdir()
    _programs(folder / "bin", lab)
    with up(home.root, base):
        found = EmailJourney(folder, base, lab)
        found.at_desk(OWN_KEY)
        for sender, message in (("ann@example.org", ORDINARY), ("pay@mail.evil.example", CAMPAIGN)):
            found.at_server(f"lmtp {sender} {TO} <<'END'\n{message}END")
        found.at_server(
            "doveadm mailbox create -u dave@example.org Work; sought='header Subject salary'; "
            "doveadm flags add -u dave@example.org '\\Seen \\Flagged $Label1' $sought; "
            "doveadm move -u dave@example.org Work mailbox INBOX $sought"
        )
        yield found


def _email(config: str, lab: MailLab, folder: Path, backend: str) -> str:
    """Return the configuration of the email service with the way to the mailboxes in it."""
    password = folder / "master"
    password.write_text(MASTER, encoding="utf-8")
    server = f'tls = "none"\nmaster_user = "exec"\nmaster_password = "{password}"\n'
    mailboxes = folder / "mailboxes"
    mailboxes.write_text("".join(f"{address}\n" for address in (*TO.split(), GRACE)), encoding="utf-8")
    tables = {
        "maildir": "",
        "imap": (
            f'[imap]\naddress = "127.0.0.1:{lab.imap}"\nmailboxes = "{mailboxes}"\n{server}'
            f'[managesieve]\naddress = "127.0.0.1:{lab.sieve}"\n{server}'
        ),
    }
    on_disk = f'maildirs = "{lab.folder}/mail/{{address}}/Maildir"\nhomes = "{lab.folder}/mail/{{address}}"\n'
    top = 'domains = ["example.org"]\n' + (on_disk if backend == "maildir" else "")
    return re.sub(r"^maildirs = .*\n", top, config, flags=re.MULTILINE) + tables[backend]


def _programs(folder: Path, lab: MailLab) -> None:
    """Write the programs that the page types: those of the lab's own server."""
    folder.mkdir()
    programs: Mapping[str, str] = {
        "doveadm": f'exec /usr/bin/doveadm -c {lab.folder}/dovecot.conf "$@"',
        "lmtp": (
            f"exec {sys.executable} -c 'import smtplib, sys; "
            f'smtplib.LMTP("127.0.0.1", {lab.lmtp}).sendmail(sys.argv[1], sys.argv[2:], sys.stdin.buffer.read())\' "$@"'
        ),
        "list": (
            'for each; do doveadm -f flow fetch -u "$each@example.org" "user mailbox flags hdr.subject" all; done '
            "| sed 's/[\\]Recent//; s/  */ /g'"
        ),
        "look": (
            'doveadm fetch -u "$1@example.org" "mailbox flags date.received text" all | sed \'/^flags/s/.Recent *//\''
        ),
        "sent": f"cat {lab.folder}/sent/recipients && rm {lab.folder}/sent/recipients",
    }
    for name, line in programs.items():
        path = folder / name
        path.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
        path.chmod(0o755)


def _run(
    script: str, folder: Path, environment: Mapping[str, str], *, check: bool
) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(  # noqa: S603 - ours
        ["/bin/bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIME,
        check=False,
    )
    assert not check or done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done
