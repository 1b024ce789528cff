"""Where a text names one of some files, whatever syntax it is written in."""

import os
import re
from collections.abc import Iterable

# A word ends at a blank, a quote, or what joins words in shells, crontabs, units and key lists; `\x` is x.
WORD = re.compile(rb"(?:\\.|[^\s\\\"'`;|&()<>=:,])+")
# systemd's marks before a program, and a comma list's.
MARKS = b"-@+!"
HOME = re.compile(rb"(?:~|\$HOME|\$\{HOME\}|%h)(?=/)")
BREAKS_WORDS = re.compile(rb"[\s\\\"'`;|&()<>=:,]")
Span = tuple[int, int]


class Named:
    """Files to look for by name. Only whole paths count: `/opt/evil` is not named by `/opt/evil-tools`."""

    def __init__(self, paths: Iterable[str]) -> None:
        """Take absolute paths."""
        self.paths = frozenset(paths)
        self._paths = frozenset(map(os.fsencode, self.paths))
        # A path with a blank in it is no word; it stands between quotes, or nowhere.
        odd = [re.escape(path) for path in self._paths if BREAKS_WORDS.search(path)]
        self._odd = re.compile(b"|".join(odd)) if odd else None
        self._last = frozenset(path.rpartition(b"/")[2] for path in self._paths)

    def may_be_in(self, content: bytes) -> bool:
        """Tell, quickly, whether a text can name any of them."""
        return any(name in content for name in self._last) or b"\\" in content

    def spans(self, text: bytes, home: str = "") -> list[Span]:
        """Return where they are named, in order; `home` is what `~` means there."""
        found = [match.span() for match in self._odd.finditer(text)] if self._odd else []
        for match in WORD.finditer(text):
            start, end = match.span()
            start += len(match[0]) - len(match[0].lstrip(MARKS))
            if self._means(text[start:end], home):
                found.append((start, end))
        return sorted(found)

    def _means(self, word: bytes, home: str) -> bool:
        plain = re.sub(rb"\\(.)", rb"\1", word)
        if home:
            plain = HOME.sub(os.fsencode(home).replace(b"\\", rb"\\"), plain, count=1)
        # Two slashes at the beginning are one to the kernel.
        return plain.startswith(b"/") and b"/" + os.path.normpath(plain).lstrip(b"/") in self._paths
