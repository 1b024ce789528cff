"""A Postfix that delivers to users of this machine by their `.forward`, from a folder of the test's own, on loopback.

Mail for other domains goes to a program that notes to whom. Users are two that every Debian has; nothing of theirs is
used but their numbers.
"""

import shutil
import smtplib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from own_postfix import DOMAIN, own_postfix

__all__ = ["DOMAIN"]
USER, TEAM = "games", "man"
MAIN = f"""\
myorigin = {DOMAIN}
mydestination = {DOMAIN}
forward_path = {{folder}}/homes/$user@{DOMAIN}/.forward
mail_spool_directory = {{folder}}/boxes/
default_transport = note
relay_transport = note
"""
MASTER = """\
local unix - n n - - local
note unix - n n - - pipe user=nobody argv={folder}/note $recipient
"""
NOTE = """\
#!/bin/sh
echo "$1" >> {folder}/sent/recipients
exec cat > /dev/null
"""


@dataclass(frozen=True, slots=True)
class ForwardLab:
    """One that runs."""

    folder: Path
    port: int

    @property
    def homes(self) -> str:
        """Where homes are, as the email service's settings have it."""
        return f"{self.folder}/homes/{{address}}"

    @property
    def forward(self) -> Path:
        """The `.forward` of the user."""
        return self.folder / "homes" / f"{USER}@{DOMAIN}" / ".forward"

    def deliver(self) -> None:
        """Hand a message for the user in."""
        with smtplib.SMTP("127.0.0.1", self.port, timeout=20) as client:
            client.sendmail("sender@else.test", [f"{USER}@{DOMAIN}"], b"Subject: hello\r\n\r\nHello.\r\n")

    def idle(self) -> bool:
        """Tell whether nothing is on its way."""
        queues = (self.folder / "spool" / name for name in ("incoming", "active", "deferred"))
        return not any(path.is_file() for queue in queues for path in queue.rglob("*"))

    def came(self) -> dict[str, int]:
        """Return how many messages went to each address outside, and into each box."""
        noted = self.folder / "sent" / "recipients"
        found = dict.fromkeys((USER, TEAM), 0)
        for address in noted.read_text().split() if noted.exists() else []:
            found[address] = found.get(address, 0) + 1
        for user in (USER, TEAM):
            box = self.folder / "boxes" / user / "new"
            found[user] = len(list(box.iterdir())) if box.exists() else 0
        return found


@contextmanager
def forward_lab() -> Iterator[ForwardLab]:
    """Run one, if Postfix is here."""
    with own_postfix(MAIN, MASTER, _prepare) as (folder, port):
        yield ForwardLab(folder, port)


def _prepare(folder: Path) -> None:
    for name in ("boxes", "sent"):
        (folder / name).mkdir()
    shutil.chown(folder / "sent", "nobody")
    for user in (USER, TEAM):
        (folder / "boxes" / user).mkdir()
        shutil.chown(folder / "boxes" / user, user)
    home = ForwardLab(folder, 0).forward.parent
    home.mkdir(parents=True)
    shutil.chown(home, USER)
    (folder / "note").write_text(NOTE.format(folder=folder))
    (folder / "note").chmod(0o755)
