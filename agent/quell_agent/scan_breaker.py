"""Stops rules that are wrong: what finds what can't all be malicious does not count."""

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from quell_agent.execution.packages import Packages
from quell_agent.scan import Hit, Seen

PACKAGED_FILES = 3
"""A rule may find so many files that came with packages and are as they came: chance, or a package that is bad."""
SHARE_PERCENT, SHARE_FROM_FILES = 10, 200
"""A rule that finds more of all files than this finds what they have in common."""
DATABASE = Path("/var/lib/dpkg")


class Breaker:
    """Counts what each signature finds in one scan of `total` files."""

    def __init__(self, total: int, is_packaged: Callable[[str], bool]) -> None:
        """Count nothing yet. `is_packaged` tells files that came with packages and are as they came."""
        self._total = total
        self._is_packaged = is_packaged
        self._files: Counter[str] = Counter()
        self._packaged: Counter[str] = Counter()
        self.tripped: dict[str, str] = {}

    def counting(self, seen: Seen) -> list[Hit]:
        """Count what was seen, and return the hits that count as far as is known now."""
        rules = {hit.rule for hit in seen.hits} - self.tripped.keys()
        packaged = bool(rules) and self._is_packaged(seen.path)
        for rule in rules:
            self._files[rule] += 1
            self._packaged[rule] += packaged
            if self._packaged[rule] > PACKAGED_FILES:
                self.tripped[rule] = f"it finds more than {PACKAGED_FILES} intact files of the system's packages"
            elif self._files[rule] >= SHARE_FROM_FILES and 100 * self._files[rule] > SHARE_PERCENT * self._total:
                self.tripped[rule] = f"it finds more than {SHARE_PERCENT} % of all files"
        return [hit for hit in seen.hits if hit.rule not in self.tripped]


class Intact:
    """Tells files that came with Debian's packages and are as they came. Its lists are read when first needed."""

    def __init__(self, database: Path = DATABASE) -> None:
        """Take dpkg's folder."""
        self._database = database
        self._packages: Packages | None = None

    def __call__(self, path: str) -> bool:
        """Tell whether it is one; what can't be read is none."""
        if not (self._database / "status").exists():
            return False
        if self._packages is None:
            self._packages = Packages(self._database)
        listed = self._packages.digests(path.encode("utf-8", "surrogateescape"))
        if not listed:
            return False
        try:
            with Path(path).open("rb") as source:
                return hashlib.file_digest(source, lambda: hashlib.md5(usedforsecurity=False)).digest() in listed
        except OSError:
            return False
