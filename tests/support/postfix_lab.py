"""A Postfix of the test's own: its configuration, queue and mailboxes in a folder, on loopback, ended after it."""

import asyncio
import os
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import pytest

from house import free_ports

DOMAIN = "corp.test"
_OWNER = 20_000
_MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.{domain}
mydestination =
mynetworks = 127.0.0.0/8
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = inline:{{{maps}}}
virtual_minimum_uid = {owner}
virtual_uid_maps = static:{owner}
virtual_gid_maps = static:{owner}
alias_maps =
local_recipient_maps =
default_transport = error:no outside delivery here
relay_transport = error:no outside delivery here
disable_dns_lookups = yes
smtp_dns_support_level = disabled
message_size_limit = 104857600
virtual_mailbox_limit = 0
smtpd_milters = {milter}
milter_default_action = accept
milter_connect_timeout = 5s
maillog_file = {folder}/maillog
maillog_file_prefixes = {folder}
"""
_MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
showq unix n - n - - showq
postlog unix-dgram n - n - 1 postlogd
"""


@dataclass(frozen=True, slots=True)
class Postfix:
    """One that runs. Mailboxes are Maildirs at `mail/{address}/Maildir`."""

    folder: Path
    port: int

    @property
    def maildirs(self) -> str:
        """Where they are, as the email service's settings have it."""
        return f"{self.folder}/mail/{{address}}/Maildir"

    def mails(self, user: str) -> list[bytes]:
        """Return what was delivered to a user, the latest last, with the line ends of the wire."""
        box = self.folder / "mail" / f"{user}@{DOMAIN}" / "Maildir" / "new"
        paths = sorted(box.iterdir(), key=lambda path: path.stat().st_mtime_ns) if box.exists() else []
        return [path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for path in paths]

    async def send(self, raw: bytes, *users: str) -> None:
        """Hand a message in by SMTP."""
        await asyncio.to_thread(self._send, raw, users or ("ann",))

    def send_many(self, raw: bytes, count: int) -> None:
        """Hand a message in so often, over one connection."""
        with smtplib.SMTP("127.0.0.1", self.port, timeout=30) as client:
            for _ in range(count):
                client.sendmail("sender@outside.test", [f"ann@{DOMAIN}"], raw)

    def count(self, user: str) -> int:
        """Return how many messages a user has."""
        box = self.folder / "mail" / f"{user}@{DOMAIN}" / "Maildir" / "new"
        return len(list(box.iterdir())) if box.exists() else 0

    def held(self) -> list[Path]:
        """Return the messages on hold in the queue."""
        return [path for path in (self.folder / "spool/hold").rglob("*") if path.is_file()]

    def log(self) -> str:
        """Return what it says."""
        return (self.folder / "maillog").read_text()

    def _send(self, raw: bytes, users: Sequence[str]) -> None:
        with smtplib.SMTP("127.0.0.1", self.port, timeout=30) as client:
            client.sendmail("sender@outside.test", [f"{user}@{DOMAIN}" for user in users], raw)


def mail(text: str, *, html: str = "", cte: str | None = None) -> bytes:
    """Return a message as it comes in."""
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "sender@outside.test", f"ann@{DOMAIN}", "hello"
    made["Message-ID"] = "<1@outside.test>"
    made.set_content(text, cte=cte)
    if html:
        made.add_alternative(html, subtype="html", cte=cte)
    return made.as_bytes().replace(b"\n", b"\r\n")


@asynccontextmanager
async def postfix(milter: str, users: Sequence[str] = ("ann", "bob", "probe")) -> AsyncIterator[Postfix]:
    """Run one; `milter` as `smtpd_milters` has it, empty for none. It may be served by the same loop."""
    running = _running(milter, users)
    server = await asyncio.to_thread(running.__enter__)
    try:
        yield server
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


@contextmanager
def _running(milter: str, users: Sequence[str]) -> Iterator[Postfix]:
    if os.geteuid() or not Path("/usr/lib/postfix/sbin/master").exists():
        pytest.skip("it takes root, and Debian's package postfix")
    # Its daemons are users of their own: they can't come into the folders of the test's root.
    folder = Path(tempfile.mkdtemp(prefix="quell-postfix-"))
    try:
        folder.chmod(0o755)
        port = free_ports(1)
        _configure(folder, port, milter, users)
        config = str(folder / "etc")
        running = subprocess.Popen(  # noqa: S603 - the test's own
            ["/usr/sbin/postfix", "-c", config, "start-fg"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            _await(port, running)
            yield Postfix(folder, port)
        finally:
            stop = ["/usr/sbin/postfix", "-c", config, "stop"]
            subprocess.run(stop, capture_output=True, timeout=30, check=False)  # noqa: S603 - the test's own
            with suppress(subprocess.TimeoutExpired):
                running.wait(10)
            with suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
            running.wait(10)
    finally:
        shutil.rmtree(folder)


def _configure(folder: Path, port: int, milter: str, users: Sequence[str]) -> None:
    for name in ("etc", "spool", "data", "mail"):
        (folder / name).mkdir()
    shutil.chown(folder / "data", "postfix")
    shutil.chown(folder / "mail", _OWNER, _OWNER)
    maps = ", ".join(f"{{{user}@{DOMAIN} = {user}@{DOMAIN}/Maildir/}}" for user in users)
    values = {"folder": folder, "domain": DOMAIN, "maps": maps, "owner": _OWNER, "milter": milter}
    (folder / "etc/main.cf").write_text(_MAIN.format(**values))
    (folder / "etc/master.cf").write_text(_MASTER.format(port=port))


def _await(port: int, running: "subprocess.Popen[bytes]") -> None:
    for _ in range(200):
        assert running.poll() is None, "Postfix ended"
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 10) as connection:
            if connection.recv(3) == b"220":
                return
        with suppress(subprocess.TimeoutExpired):
            running.wait(0.05)
    raise AssertionError("Postfix does not answer")
