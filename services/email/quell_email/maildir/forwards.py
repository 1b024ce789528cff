"""What sends mail on, as files in users' homes: `.forward`, `.dovecot.sieve`, and the scripts in `sieve/`.

A home belongs to its user, who may put anything anywhere in it meanwhile: everything is opened step by step, no link is
followed, and what is replaced is swapped with what replaces it, then looked at, and swapped back if it was another.
"""

import os
import secrets
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from quell_email.domain.forwards import FILE, MOST_SCRIPT_BYTES, RULE, Script, within_limits
from quell_email.files import directory, exchange, listed, regular
from quell_email.maildir.homes import Homes
from quell_email.threads import finished
from quell_executor.effect import RefusedError
from quell_runtime.seams import Point, nowhere

FORWARD = ".forward"
ACTIVE = ".dovecot.sieve"
SCRIPTS = "sieve"
SUFFIX = ".sieve"
COMPILED = ".svbin"
FRESH = ".quell-forward-"
"""What names of ours begin with, for as long as a replacement takes."""
PRIVATE = 0o600


class HomeForwards:
    """The files of homes that a pattern names."""

    def __init__(self, pattern: str, point: Point = nowhere) -> None:
        """Find homes by the pattern."""
        self._homes = Homes(pattern)
        self._point = point

    async def read(self, mailbox: str) -> Sequence[Script]:
        """Return every file that is there."""
        return await finished(lambda: list(within_limits(self._read(self._home(mailbox)))))

    async def replace(self, mailbox: str, old: Script, new: Script) -> bool:
        """Replace a file that still reads as `old`."""
        return await finished(lambda: self._replace(self._home(mailbox), old, new))

    def _home(self, mailbox: str) -> Path:
        home = self._homes.all().get(mailbox)
        if home is None:
            raise RefusedError("MAILBOX_UNKNOWN", "the mailbox that the order names is not here")
        return home

    def _read(self, home: Path) -> Iterator[Script]:
        with directory(home) as top:
            with suppress(FileNotFoundError):
                yield _script(FORWARD, FILE, top, FORWARD, active=True)
            active = _active(home, top)
            if active is None:
                with suppress(FileNotFoundError):
                    yield _script(ACTIVE, RULE, top, ACTIVE, active=True)
        for file in sorted(_scripts(home)):
            with suppress(FileNotFoundError), _folder(home, f"{SCRIPTS}/{file}") as (folder, _):
                yield _script(f"{SCRIPTS}/{file}", RULE, folder, file, active=file == active)

    def _replace(self, home: Path, old: Script, new: Script) -> bool:
        with suppress(FileNotFoundError), _folder(home, old.place) as (folder, file):
            if _reads_as(folder, file, new):
                return True
            _sweep(folder)
            fresh = _written(new, folder)
            try:
                self._point("forwards.written")
                exchange(folder, fresh, file)
                self._point("forwards.exchanged")
                if _reads_as(folder, fresh, old):
                    return True
                exchange(folder, fresh, file)
            finally:
                os.unlink(fresh, dir_fd=folder)
                _forget_compiled(home, old.place)
                os.fsync(folder)
        return False


def _active(home: Path, top: int) -> str | None:
    """Return the file in `sieve/` that is run, empty if none is, or None if `.dovecot.sieve` is a place of its own."""
    try:
        target = os.readlink(ACTIVE, dir_fd=top)
    except FileNotFoundError:
        return ""
    except OSError:
        return None
    path = Path(target)
    # Beyond a step up it may lead anywhere, by way of a link.
    straight = ".." not in path.parts and (home / path).parent == home / SCRIPTS and path.suffix == SUFFIX
    return path.name if straight else None


def _scripts(home: Path) -> list[str]:
    with suppress(FileNotFoundError), directory(home) as top:
        try:
            with directory(SCRIPTS, top) as folder:
                return [name for name in listed(folder) if name.endswith(SUFFIX) and not name.startswith(".")]
        except NotADirectoryError:
            raise RefusedError("SCRIPTS_ELSEWHERE", "its folder of scripts is none, or a link: look by hand") from None
    return []


@contextmanager
def _folder(home: Path, place: str) -> Iterator[tuple[int, str]]:
    """Open the folder of a place; yield it with the file's name in it."""
    folder, _, file = place.rpartition("/")
    with directory(home) as top, directory(folder or ".", top) as within:
        yield within, file


def _script(place: str, mechanism: Any, folder: int, file: str, *, active: bool) -> Script:  # noqa: ANN401 - an enum
    content, link, record = _content(folder, file)
    name = file.removesuffix(SUFFIX) if place != file else ""
    return Script(place, mechanism, content, active, name, link, record)


def _content(folder: int, file: str) -> tuple[bytes, str, Mapping[str, Any]]:
    """Return a file's content, where it leads to if it is a link, and how it is kept.

    Raises:
        FileNotFoundError: There is no such file, or one that no server reads.

    """
    status = os.stat(file, dir_fd=folder, follow_symlinks=False)
    record = {"mode": stat.S_IMODE(status.st_mode), "uid": status.st_uid, "gid": status.st_gid}
    if stat.S_ISLNK(status.st_mode):
        return b"", os.readlink(file, dir_fd=folder), record
    if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_SCRIPT_BYTES:
        raise FileNotFoundError(file)
    with regular(file, folder) as found, open(found, "rb", closefd=False) as content:
        return content.read(MOST_SCRIPT_BYTES), "", record


def _reads_as(folder: int, file: str, script: Script) -> bool:
    with suppress(FileNotFoundError):
        return _content(folder, file)[:2] == (script.content, script.link)
    return False


def _written(script: Script, folder: int) -> str:
    """Write a script under a name of ours, as it is to be kept, on the disk."""
    name = f"{FRESH}{secrets.token_hex(8)}"
    owner = script.record["uid"], script.record["gid"]
    if script.link:
        os.symlink(script.link, name, dir_fd=folder)
        os.chown(name, *owner, dir_fd=folder, follow_symlinks=False)
        return name
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    found = os.open(name, flags, PRIVATE, dir_fd=folder)
    try:
        with open(found, "wb", closefd=False) as file:
            file.write(script.content)
        os.fchown(found, *owner)
        os.fchmod(found, script.record["mode"] & 0o777)
        os.fsync(found)
    finally:
        os.close(found)
    return name


def _sweep(folder: int) -> None:
    """Take away what a crash in the middle has left."""
    for name in listed(folder):
        if name.startswith(FRESH):
            with suppress(OSError):
                os.unlink(name, dir_fd=folder)


def _forget_compiled(home: Path, place: str) -> None:
    """Take away what a server has compiled from a script: by its time it may look newer than what replaces that."""
    for name in (place, ACTIVE):
        with suppress(OSError), _folder(home, name.removesuffix(SUFFIX) + COMPILED) as (folder, file):
            os.unlink(file, dir_fd=folder)
