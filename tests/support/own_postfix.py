"""A Postfix from a folder of the test's own, on loopback, ended after it: what every one of them is like."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from house import free_ports

DOMAIN = "corp.test"
MAIN = f"""\
compatibility_level = 3.6
queue_directory = {{folder}}/spool
data_directory = {{folder}}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.{DOMAIN}
mynetworks = 127.0.0.0/8
alias_maps =
disable_dns_lookups = yes
smtp_dns_support_level = disabled
maillog_file = {{folder}}/maillog
maillog_file_prefixes = {{folder}}
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
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
showq unix n - n - - showq
postlog unix-dgram n - n - 1 postlogd
"""


@contextmanager
def own_postfix(main: str, master: str, prepare: Callable[[Path], None]) -> Iterator[tuple[Path, int]]:
    """Run one if Postfix is here; give its folder, which was prepared, and its port.

    `main` and `master` are added to what all have; `{folder}` in them is the folder.
    """
    if os.geteuid() or not Path("/usr/lib/postfix/sbin/master").exists():
        pytest.skip("it takes root, and Debian's package postfix")
    # Its daemons are users of their own: they can't come into the folders of the test's root.
    folder = Path(tempfile.mkdtemp(prefix="quell-postfix-"))
    try:
        folder.chmod(0o755)
        for name in ("etc", "spool", "data"):
            (folder / name).mkdir()
        shutil.chown(folder / "data", "postfix")
        prepare(folder)
        port = free_ports(1)
        values = {"folder": folder, "port": port}
        (folder / "etc/main.cf").write_text((MAIN + main).format(**values))
        (folder / "etc/master.cf").write_text((MASTER + master).format(**values))
        with _running(str(folder / "etc"), port):
            yield folder, port
    finally:
        shutil.rmtree(folder)


@contextmanager
def _running(config: str, port: int) -> Iterator[None]:
    command = ["/usr/sbin/postfix", "-c", config]
    nothing = subprocess.DEVNULL
    running = subprocess.Popen(  # noqa: S603 - the test's own
        [*command, "start-fg"], stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True
    )
    try:
        _await(port, running)
        yield
    finally:
        subprocess.run([*command, "stop"], capture_output=True, timeout=30, check=False)  # noqa: S603 - the test's own
        with suppress(subprocess.TimeoutExpired):
            running.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait(10)


def _await(port: int, running: "subprocess.Popen[bytes]") -> None:
    for _ in range(200):
        assert running.poll() is None, "Postfix ended"
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 10) as connection:
            if connection.recv(3) == b"220":
                return
        with suppress(subprocess.TimeoutExpired):
            running.wait(0.05)
    raise AssertionError("Postfix does not answer")
