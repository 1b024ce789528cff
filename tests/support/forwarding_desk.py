"""A mail server's users with their scripts, and each backend over them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from quell.remediation.v1 import email_pb2

from mail_lab import MASTER, PASSWORD, MailLab
from mail_worlds import ALL
from quell_email.domain.forwards import Forwards
from quell_email.effects.turn_off_external_forwarding import TurnOffExternalForwarding
from quell_email.imap.forwards import ServerForwards
from quell_email.imap.managesieve import Session, SieveServer, session
from quell_email.maildir.forwards import HomeForwards
from quell_email.store.pre_images import PreImages
from quell_runtime.addresses import Address
from quell_runtime.seams import Point, nowhere

OURS = frozenset({"example.org"})
ANN = "ann@example.org"
MAIL = b"From: sender@elsewhere.test\r\nTo: ann@example.org\r\nSubject: the report\r\n\r\nHello.\r\n"
MINE = b"""\
require ["copy", "fileinto"];
# rule:[team]
redirect :copy "team@example.org"; # stays
# rule:[home]
if header :contains "subject" "report" {
  redirect /* my own */ "ann@mail.test";
}
if header :contains "subject" "list" { fileinto "Lists"; stop; }
"""
ORDER = email_pb2.TurnOffExternalForwarding(mailbox=f"mailboxes/{ANN}")


class _User(SieveServer):
    """The server as a mailbox's user reaches it."""

    def login(self, mailbox: str) -> str:
        """Return the user's own name."""
        return mailbox


def homes(lab: MailLab, point: Point = nowhere) -> Forwards:
    """Return the backend over files in homes."""
    return HomeForwards(f"{lab.folder}/mail/{{address}}", point)


def server(lab: MailLab, point: Point = nowhere) -> Forwards:
    """Return the backend over ManageSieve."""
    return ServerForwards(_server(lab, SieveServer, MASTER), known, point)


async def known() -> tuple[str, ...]:
    """Return the mailboxes that there are."""
    return ALL


def _server(lab: MailLab, kind: type[SieveServer], password: str) -> SieveServer:
    file = lab.folder / f"{kind.__name__}.password"
    file.write_text(f"{password}\n")
    address = Address("127.0.0.1", lab.sieve)
    return kind(address=address, ca=lab.ca, master_user="exec", master_password=file)


@dataclass(frozen=True)
class Desk:
    """Ann's mailbox, from her side and from ours."""

    lab: MailLab
    backend: Callable[[MailLab, Point], Forwards]
    kept: Path

    @property
    def forwards(self) -> Forwards:
        """The backend."""
        return self.backend(self.lab, nowhere)

    def effect(self, point: Point = nowhere) -> TurnOffExternalForwarding:
        """Return the effect, as after a start."""
        return TurnOffExternalForwarding(self.backend(self.lab, point), PreImages(self.kept), OURS, point=point)

    def files_only(self) -> "Desk":
        """Return the same over files."""
        return replace(self, backend=homes)

    @asynccontextmanager
    async def user(self) -> AsyncIterator[Session]:
        """Log in to the server of scripts as Ann."""
        async with session(_server(self.lab, _User, PASSWORD), ANN) as found:
            yield found

    async def write(self, name: str, content: bytes, *, active: bool = True) -> None:
        """Have Ann write a script, and make it the one that is run."""
        async with self.user() as at:
            await at.put(name, content)
            if active:
                await at.ask(b"SETACTIVE", name.encode())

    async def scripts(self) -> dict[str, tuple[bytes, bool]]:
        """Return Ann's scripts by name, and which is active, as she sees them."""
        async with self.user() as at:
            return {name: (await at.get(name), active) for name, active in await at.scripts()}

    def delivered(self) -> tuple[list[str], int]:
        """Have a message come; return to whom it was sent on, and how many copies came into the inbox."""
        self.lab.sent()
        before = self._inbox()
        self.lab.deliver(MAIL, ANN)
        return self.lab.sent(), self._inbox() - before

    def _inbox(self) -> int:
        with self.lab.user(ANN) as client:
            return int(client.folder_status("INBOX", ["MESSAGES"])[b"MESSAGES"])
