"""A Dovecot of our own on loopback: IMAP (plain and TLS), LMTP and ManageSieve, from its own folder and ports.

Any address at `example.org` may log in, by `PASSWORD`; `{address}*exec` by `MASTER` is the executor, which alone has
the namespace `Recoverable Items/`. `wipe` makes all mailboxes new: a server serves many tests.
"""

import contextlib
import os
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from imapclient import IMAPClient
from quell.annotations.v1 import annotations_pb2

from house import free_ports
from quell_runtime.identity import Identity
from quell_runtime.pki import Authority

DOVECOT = shutil.which("dovecot", path="/usr/sbin:/usr/bin:/sbin:/bin")
PASSWORD, MASTER = "theirs", "ours"
OWNER = "mail"
"""The system user whose the mailboxes are: Dovecot serves none that are root's."""
USERS = tuple(f"user{number}@example.org" for number in range(50))
CONFIG = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
protocols = imap lmtp sieve
listen = 127.0.0.1
disable_plaintext_auth = no
ssl = yes
ssl_cert = <{folder}/server.crt
ssl_key = <{folder}/server.key
auth_master_user_separator = *
auth_username_format = %Lu
first_valid_uid = 1
mail_location = maildir:~/Maildir
mail_max_userip_connections = 100
mail_fsync = never
auth_failure_delay = 0
default_vsz_limit = 512M
default_process_limit = 200
sendmail_path = {folder}/sendmail
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {folder}/masters
  master = yes
  result_success = continue
  override_fields = userdb_namespace/recover/disabled=no
}}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={owner} gid={owner} home={folder}/mail/%u allow_all_users=yes
}}
namespace inbox {{
  inbox = yes
  separator = /
}}
namespace recover {{
  separator = /
  prefix = "Recoverable Items/"
  location = maildir:~/recover
  hidden = yes
  list = yes
  subscriptions = no
  disabled = yes
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
  service_count = 0
  process_min_avail = 1
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service managesieve-login {{
  inet_listener sieve {{
    port = {sieve}
  }}
  service_count = 0
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
protocol lmtp {{
  mail_plugins = sieve
}}
plugin {{
  sieve = file:~/sieve;active=~/.dovecot.sieve
}}
"""

SENDMAIL = """\
#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift
for recipient; do echo "$recipient" >> {folder}/sent/recipients; done
exec cat > /dev/null
"""
"""What Dovecot sends mail on with: it notes to whom."""


@dataclass
class MailLab:
    """The server in a folder. Ports are chosen once, so that it comes back where it was."""

    folder: Path
    port: int = field(default_factory=lambda: free_ports(4))
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        """Write its files."""
        assert shutil.which("sieve-test"), "Pigeonhole is missing"
        self.folder.chmod(0o755)
        (self.folder / "mail").mkdir()
        shutil.chown(self.folder / "mail", OWNER, OWNER)
        now = datetime.now(UTC)
        authority = Authority.make("mail", now)
        authority.save(self.ca, self.folder / "ca.key")
        leaf = authority.issue(Identity(annotations_pb2.CALLER_SERVICE, "mail", "imap"), now, hosts=("127.0.0.1",))
        leaf.save(self.folder / "server.crt", self.folder / "server.key")
        (self.folder / "sendmail").write_text(SENDMAIL.format(folder=self.folder))
        (self.folder / "sendmail").chmod(0o755)
        (self.folder / "sent").mkdir()
        shutil.chown(self.folder / "sent", OWNER, OWNER)
        (self.folder / "masters").write_text(f"exec:{{PLAIN}}{MASTER}::::::\n")
        ports = {"imap": self.imap, "imaps": self.imaps, "lmtp": self.lmtp, "sieve": self.sieve}
        config = CONFIG.format(folder=self.folder, password=PASSWORD, owner=OWNER, **ports)
        (self.folder / "dovecot.conf").write_text(config)

    @property
    def ca(self) -> Path:
        """Whom to trust for TLS."""
        return self.folder / "ca.crt"

    @property
    def imap(self) -> int:
        """The port of IMAP, plain or by STARTTLS."""
        return self.port

    @property
    def imaps(self) -> int:
        """The port of IMAP by TLS."""
        return self.port + 1

    @property
    def lmtp(self) -> int:
        """The port of LMTP."""
        return self.port + 2

    @property
    def sieve(self) -> int:
        """The port of ManageSieve."""
        return self.port + 3

    def home(self, address: str) -> Path:
        """Return where a user's Maildir, Sieve scripts and hidden folders lie."""
        return self.folder / "mail" / address

    def start(self) -> None:
        """Start it, and wait until it answers."""
        assert DOVECOT
        command = [DOVECOT, "-F", "-c", str(self.folder / "dovecot.conf")]
        self.process = subprocess.Popen(  # noqa: S603 - what Debian installs
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0
        )
        until = time.monotonic() + 20
        while not self._answers():
            assert time.monotonic() < until, "Dovecot does not answer"
            time.sleep(0.01)

    def kill(self) -> None:
        """Kill it and all that it started, as a power cut would."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
            self.process = None
        # Dovecot itself waits for minutes until it takes a lock for left behind.
        for lock in (self.folder / "mail").rglob("*lock"):
            lock.unlink(missing_ok=True)

    def connections(self) -> int:
        """Return how many IMAP connections are open now, as the kernel counts them."""
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        port, established = f":{self.imap:04X}", "01"
        return sum(1 for line in lines if line.split()[2].endswith(port) and line.split()[3] == established)

    def wipe(self) -> None:
        """Make all mailboxes new. Nobody may be logged in."""
        for home in (self.folder / "mail").iterdir():
            shutil.rmtree(home)

    def user(self, address: str) -> IMAPClient:
        """Log in as a mailbox's user."""
        return self._logged_in(address, PASSWORD)

    def executor(self, address: str) -> IMAPClient:
        """Log in as the executor does."""
        return self._logged_in(f"{address}*exec", MASTER)

    def deliver(self, raw: bytes, recipient: str, sender: str = "sender@elsewhere.example") -> None:
        """Deliver as a mail server does, through the recipient's Sieve script."""
        with smtplib.LMTP("127.0.0.1", self.lmtp, timeout=20) as lmtp:
            assert lmtp.sendmail(sender, [recipient], raw) == {}

    def sent(self) -> list[str]:
        """Return to whom mail was sent on since it was asked last."""
        noted = self.folder / "sent" / "recipients"
        found = noted.read_text().split() if noted.exists() else []
        noted.unlink(missing_ok=True)
        return sorted(found)

    def _logged_in(self, name: str, password: str) -> IMAPClient:
        client = IMAPClient("127.0.0.1", self.imap, ssl=False, timeout=20)
        try:
            client.login(name, password)
        except BaseException:
            client.shutdown()
            raise
        return client

    def _answers(self) -> bool:
        assert self.process
        assert self.process.poll() is None, (self.folder / "dovecot.log").read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.imap), 1) as found:
            return found.recv(4) == b"* OK"
        return False


@pytest.fixture(scope="session")
def lab() -> Iterator[MailLab]:
    """Return a server that the session's tests share; whoever uses it wipes it first."""
    if DOVECOT is None or shutil.which("sieve-test") is None:
        pytest.skip("Dovecot is not here: apt install dovecot-imapd dovecot-lmtpd dovecot-managesieved dovecot-sieve")
    if os.geteuid() != 0:
        pytest.skip("only root can start a Dovecot whose mailboxes are another user's")
    # Not below pytest's own folder, which only its owner may enter.
    with tempfile.TemporaryDirectory(prefix="quell-dovecot-") as folder:
        lab = MailLab(Path(folder))
        try:
            lab.start()
            yield lab
        finally:
            lab.kill()
