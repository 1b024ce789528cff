"""A clamd of the test's own: a few signatures, a socket in the test's folder, ended after it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLAMD = Path("/usr/sbin/clamd")
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
MARKER = b"QUELL-TEST-CLAMD-MARKER"
SETTINGS = """\
DatabaseDirectory {folder}/db
LocalSocket {folder}/clamd.sock
TemporaryDirectory {folder}
Foreground yes
MaxThreads 2
OfficialDatabaseOnly no
SelfCheck 0
User {user}
"""
SECONDS = 60


@contextmanager
def clamd(folder: Path, user: str = "root") -> Iterator[str]:
    """Run one, and return its socket."""
    (folder / "db").mkdir(parents=True)
    (folder / "db/quell.ndb").write_text(f"Quell.Test.Marker:0:*:{MARKER.hex()}\nQuell.Test.Eicar:0:*:{EICAR.hex()}\n")
    folder.chmod(0o777)
    (folder / "clamd.conf").write_text(SETTINGS.format(folder=folder, user=user))
    command = (str(CLAMD), "-c", str(folder / "clamd.conf"))
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # noqa: S603 - ours
    try:
        assert running.stdout is not None
        for line in running.stdout:
            if "Self checking" in line or "Listening daemon" in line or (folder / "clamd.sock").is_socket():
                break
        yield str(folder / "clamd.sock")
    finally:
        running.terminate()
        running.communicate(timeout=SECONDS)
