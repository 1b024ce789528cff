"""What guardian and guard tell each other without a word: a page that both see."""

import mmap
import struct
from collections.abc import Iterable

COUNTS = struct.Struct("=QQ")
OURS = struct.Struct("=8i")


class Board:
    """The page: how often the guard went round, how many starts were refused, and which processes are the agent's."""

    def __init__(self) -> None:
        """Make a page; whoever is forked afterwards sees it too."""
        self._page = mmap.mmap(-1, mmap.PAGESIZE)

    @property
    def beats(self) -> int:
        """How often the guard went round, all guards together."""
        return int(COUNTS.unpack_from(self._page)[0])

    @property
    def refused(self) -> int:
        """How often something was refused."""
        return int(COUNTS.unpack_from(self._page)[1])

    def beat(self) -> None:
        """Say that the guard goes on."""
        COUNTS.pack_into(self._page, 0, self.beats + 1, self.refused)

    def count_refused(self) -> None:
        """Say that something was refused."""
        COUNTS.pack_into(self._page, 0, self.beats, self.refused + 1)

    @property
    def ours(self) -> frozenset[int]:
        """The agent's processes: those that hold a connection to the guardian."""
        return frozenset(OURS.unpack_from(self._page, COUNTS.size)) - {0}

    @ours.setter
    def ours(self, pids: Iterable[int]) -> None:
        kept = [*pids, *[0] * 8][:8]
        OURS.pack_into(self._page, COUNTS.size, *kept)
