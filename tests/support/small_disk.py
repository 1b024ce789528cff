"""A file system in memory that can be filled."""

import os
from contextlib import suppress
from pathlib import Path

from apart import mount_memory

MOST_LEFT = 1 << 16


class Disk:
    """A file system of 192 MiB."""

    def __init__(self, folder: Path) -> None:
        """Mount it."""
        mount_memory(folder)
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, spare: int) -> None:
        """Leave so many bytes free."""
        self._ballast.touch()
        with self._ballast.open("r+b") as file:
            found = os.statvfs(self.folder)
            size = self._ballast.stat().st_blocks * 512 + found.f_bavail * found.f_frsize - spare
            # What there is for its own bookkeeping, others may have taken meanwhile.
            with suppress(OSError):
                os.posix_fallocate(file.fileno(), 0, size)
        assert os.statvfs(self.folder).f_bavail * found.f_frsize <= max(spare, MOST_LEFT)

    def clear(self) -> None:
        """Make room."""
        self._ballast.unlink()
