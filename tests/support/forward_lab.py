"""A Postfix that delivers to users of this machine by their `.forward`, from a folder of the test's own, on loopback.

Mail for other domains goes to a program that notes to whom. Users are two that every Debian has; nothing of theirs is
used but their numbers.
"""

import contextlib
import os
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from house import free_ports

DOMAIN = "corp.test"
USER, TEAM = "games", "man"
MAIN = """\
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
myorigin = {domain}
mydestination = {domain}
mynetworks = 127.0.0.0/8
alias_maps =
forward_path = {folder}/homes/$user@{domain}/.forward
mail_spool_directory = {folder}/boxes/
default_transport = note
relay_transport = note
disable_dns_lookups = yes
smtp_dns_support_level = disabled
maillog_file = {folder}/maillog
maillog_file_prefixes = {folder}
"""
MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
local unix - n n - - local
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
showq unix n - n - - showq
postlog unix-dgram n - n - 1 postlogd
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


@contextlib.contextmanager
def forward_lab() -> Iterator[ForwardLab]:
    """Run one, if Postfix is here."""
    if os.geteuid() or not Path("/usr/lib/postfix/sbin/master").exists():
        pytest.skip("it takes root, and Debian's package postfix")
    folder = Path(tempfile.mkdtemp(prefix="quell-forward-"))
    try:
        lab = ForwardLab(folder, free_ports(1))
        _configure(lab)
        command = ["/usr/sbin/postfix", "-c", str(folder / "etc")]
        running = subprocess.Popen(  # noqa: S603 - the test's own
            [*command, "start-fg"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            _await(lab.port, running)
            yield lab
        finally:
            subprocess.run([*command, "stop"], capture_output=True, timeout=30, check=False)  # noqa: S603
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
            running.wait(10)
    finally:
        shutil.rmtree(folder)


def _configure(lab: ForwardLab) -> None:
    folder = lab.folder
    folder.chmod(0o755)
    for name in ("etc", "spool", "data", "boxes", "sent"):
        (folder / name).mkdir()
    shutil.chown(folder / "data", "postfix")
    shutil.chown(folder / "sent", "nobody")
    for user in (USER, TEAM):
        (folder / "boxes" / user).mkdir()
        shutil.chown(folder / "boxes" / user, user)
    lab.forward.parent.mkdir(parents=True)
    shutil.chown(lab.forward.parent, USER)
    (folder / "note").write_text(NOTE.format(folder=folder))
    (folder / "note").chmod(0o755)
    (folder / "etc/main.cf").write_text(MAIN.format(folder=folder, domain=DOMAIN))
    (folder / "etc/master.cf").write_text(MASTER.format(folder=folder, port=lab.port))


def _await(port: int, running: "subprocess.Popen[bytes]") -> None:
    for _ in range(200):
        assert running.poll() is None, "Postfix ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 10) as connection:
            if connection.recv(3) == b"220":
                return
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(0.05)
    raise AssertionError("Postfix does not answer")
