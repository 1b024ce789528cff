"""As whom the talker runs, and its folder, which is all that is its own."""

import os
import pwd
import shutil
import zlib
from pathlib import Path

NAME = "quell-agent"
"""The package makes this user."""
DYNAMIC = range(61184, 65520)
"""User ids that nobody has for long; systemd takes its dynamic users from here too."""


def prepared(data: Path) -> tuple[Path, int]:
    """Return the talker's folder and user id, the folder made if it is missing.

    As an ordinary user the talker is that user as well: there is nothing to give up.
    """
    folder = data / "talker"
    folder.mkdir(mode=0o700, exist_ok=True)
    user = os.geteuid() or _unprivileged(folder)
    if folder.stat().st_uid != user:
        # What another user left there is not handed on: with no certificate it enrols again.
        shutil.rmtree(folder)
        folder.mkdir(mode=0o700)
        os.chown(folder, user, user)
    return folder, user


def _unprivileged(folder: Path) -> int:
    try:
        return pwd.getpwnam(NAME).pw_uid
    except KeyError:
        owner = folder.stat().st_uid
        return owner if owner in DYNAMIC else _free(zlib.crc32(os.fsencode(folder)))


def _free(start: int) -> int:
    """Return a user id that no account has and no process runs as."""
    running = {path.stat().st_uid for path in Path("/proc").glob("[0-9]*") if path.exists()}
    accounts = {each.pw_uid for each in pwd.getpwall()}
    wanted = (DYNAMIC[(start + step) % len(DYNAMIC)] for step in range(len(DYNAMIC)))
    return next(user for user in wanted if user not in running | accounts)
