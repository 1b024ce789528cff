"""A Postfix of the test's own: its configuration, queue and mailboxes in a folder, on loopback, ended after it."""

import asyncio
import shutil
import smtplib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

from own_postfix import DOMAIN, own_postfix

__all__ = ["DOMAIN"]
_OWNER = 20_000
_MAIN = f"""\
mydestination =
virtual_mailbox_domains = {DOMAIN}
virtual_mailbox_base = {{folder}}/mail
virtual_minimum_uid = {_OWNER}
virtual_uid_maps = static:{_OWNER}
virtual_gid_maps = static:{_OWNER}
local_recipient_maps =
default_transport = error:no outside delivery here
relay_transport = error:no outside delivery here
message_size_limit = 104857600
virtual_mailbox_limit = 0
milter_default_action = accept
milter_connect_timeout = 5s
"""
_MASTER = """\
pickup unix n - n 60 1 pickup
discard unix - - n - - discard
virtual unix - n n - - virtual
scache unix - - n - 1 scache
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
    maps = ", ".join(f"{{{{{user}@{DOMAIN} = {user}@{DOMAIN}/Maildir/}}}}" for user in users)
    main = f"{_MAIN}virtual_mailbox_maps = inline:{{{{{maps}}}}}\nsmtpd_milters = {milter}\n"
    with own_postfix(main, _MASTER, _prepare) as (folder, port):
        yield Postfix(folder, port)


def _prepare(folder: Path) -> None:
    (folder / "mail").mkdir()
    shutil.chown(folder / "mail", _OWNER, _OWNER)
