"""Homes of mail users on disk, with scripts and `.forward` as a server and their users write them."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class HomeTree:
    """Homes under one folder, by address."""

    base: Path

    @property
    def pattern(self) -> str:
        """The pattern that finds them."""
        return f"{self.base}/{{address}}"

    def home(self, address: str) -> Path:
        """Return a home, made if it was not there."""
        home = self.base / address
        home.mkdir(parents=True, exist_ok=True)
        return home

    def write(self, address: str, place: str, content: bytes, mode: int = 0o640) -> Path:
        """Write a file."""
        path = self.home(address) / place
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
        return path

    def activate(self, address: str, target: str) -> Path:
        """Make a script the one that is run, as ManageSieve does."""
        link = self.home(address) / ".dovecot.sieve"
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        return link

    def photograph(self, address: str) -> dict[str, tuple[bytes | str, int, int, int]]:
        """Return every file: bytes or where it leads to, mode, owner. Not its times: they tell that it was written."""
        found: dict[str, tuple[bytes | str, int, int, int]] = {}
        home = self.home(address)
        for path in sorted(home.rglob("*")):
            status = path.lstat()
            is_link = stat.S_ISLNK(status.st_mode)
            if is_link or stat.S_ISREG(status.st_mode):
                content: bytes | str = os.readlink(path) if is_link else path.read_bytes()  # noqa: PTH115
                facts = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
                found[str(path.relative_to(home))] = (content, *facts)
        return found
