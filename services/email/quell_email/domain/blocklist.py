"""The one matcher: which pattern blocks a URL. Used at the click, by UrlService and by mail filters.

It holds texts and numbers alone, in few containers: a hundred thousand entries are nothing that the interpreter's
garbage collection would have to walk through while clicks wait.
"""

from collections.abc import Iterator

from quell_email.domain.patterns import Pattern, is_address
from quell_email.domain.urls import CanonicalUrl


class Blocklist:
    """The patterns that are blocked now. A look costs the labels of the host and the length of the path."""

    def __init__(self) -> None:
        """Begin with none."""
        self._patterns: set[str] = set()
        self._prefixes: dict[str, tuple[tuple[int, int], ...]] = {}
        """Of each place that has some: how long they are, each length once, and how many are so."""

    def __contains__(self, pattern: str) -> bool:
        """Tell whether this pattern, in canonical form, is blocked."""
        return pattern in self._patterns

    def add(self, pattern: Pattern) -> None:
        """Block it."""
        if str(pattern) not in self._patterns:
            self._patterns.add(str(pattern))
            self._count(pattern, 1)

    def remove(self, pattern: Pattern) -> None:
        """Let it through again."""
        if str(pattern) in self._patterns:
            self._patterns.remove(str(pattern))
            self._count(pattern, -1)

    def match(self, url: CanonicalUrl) -> str | None:
        """Return a pattern that blocks the URL, in canonical form, or None."""
        ports = ("", f":{url.port}") if url.port else ("",)
        for port in ports:
            if (found := self._look(url.host + port, url)) is not None:
                return found
        for parent in _parents(url.host):
            for port in ports:
                if parent + port in self._patterns:
                    return parent + port
                if (found := self._look(f"*.{parent}{port}", url)) is not None:
                    return found
        return None

    def _look(self, place: str, url: CanonicalUrl) -> str | None:
        """Return what blocks the URL at a place: the place as a whole, a page of it, or a prefix."""
        for found in (place, f"{place}{url.target}", f"{place}{url.path}"):
            if found in self._patterns:
                return found
        begins = (f"{place}{url.target[:length]}*" for length, _ in self._prefixes.get(place, ()))
        return next((found for found in begins if found in self._patterns), None)

    def _count(self, pattern: Pattern, change: int) -> None:
        if not pattern.prefix or pattern.target is None:
            return
        counts = dict(self._prefixes.get(pattern.place, ()))
        length = len(pattern.target)
        counts[length] = counts.get(length, 0) + change
        if left := tuple(pair for pair in counts.items() if pair[1]):
            self._prefixes[pattern.place] = left
        else:
            del self._prefixes[pattern.place]


def _parents(host: str) -> Iterator[str]:
    """Yield the hosts above it, nearest first; an address has none."""
    if is_address(host):
        return
    while (dot := host.find(".")) >= 0:
        host = host[dot + 1 :]
        yield host
