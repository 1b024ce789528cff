"""The one matcher: which pattern blocks a URL. Used at the click, by UrlService and by mail filters."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from quell_email.domain.patterns import Pattern, is_address
from quell_email.domain.urls import CanonicalUrl


@dataclass(slots=True)
class _Place:
    """What is blocked at one host, or below it. `lengths` are those of the prefixes, so that each costs one look."""

    whole: bool = False
    pages: set[str] = field(default_factory=set)
    prefixes: set[str] = field(default_factory=set)
    lengths: Counter[int] = field(default_factory=Counter)

    def blocks(self, url: CanonicalUrl) -> str | None:
        """Return what of `Pattern.target` matches; an empty text if the whole place is blocked."""
        if self.whole:
            return ""
        if url.target in self.pages:
            return url.target
        if url.path in self.pages:
            return url.path
        found = (url.target[:length] for length in self.lengths)
        return next((f"{prefix}*" for prefix in found if prefix in self.prefixes), None)


class Blocklist:
    """The patterns that are blocked now. A look costs the labels of the host and the length of the path."""

    def __init__(self) -> None:
        """Begin with none."""
        self._places: dict[str, _Place] = {}
        self._patterns: set[str] = set()

    def __contains__(self, pattern: str) -> bool:
        """Tell whether this pattern, in canonical form, is blocked."""
        return pattern in self._patterns

    def add(self, pattern: Pattern) -> None:
        """Block it."""
        if str(pattern) in self._patterns:
            return
        self._patterns.add(str(pattern))
        place = self._places.setdefault(pattern.place, _Place())
        if pattern.target is None:
            place.whole = True
        elif pattern.prefix:
            place.prefixes.add(pattern.target)
            place.lengths[len(pattern.target)] += 1
        else:
            place.pages.add(pattern.target)

    def remove(self, pattern: Pattern) -> None:
        """Let it through again."""
        if str(pattern) not in self._patterns:
            return
        self._patterns.remove(str(pattern))
        place = self._places[pattern.place]
        if pattern.target is None:
            place.whole = False
        elif pattern.prefix:
            place.prefixes.remove(pattern.target)
            place.lengths -= Counter([len(pattern.target)])
        else:
            place.pages.remove(pattern.target)
        if place == _Place():
            del self._places[pattern.place]

    def match(self, url: CanonicalUrl) -> str | None:
        """Return a pattern that blocks the URL, in canonical form, or None."""
        ports = ("", f":{url.port}") if url.port else ("",)
        for port in ports:
            if (found := self._look(url.host + port, url)) is not None:
                return found
        for parent in _parents(url.host):
            for port in ports:
                place = self._places.get(parent + port)
                if place is not None and place.whole:
                    return parent + port
                if (found := self._look(f"*.{parent}{port}", url)) is not None:
                    return found
        return None

    def _look(self, name: str, url: CanonicalUrl) -> str | None:
        place = self._places.get(name)
        found = place.blocks(url) if place else None
        return None if found is None else name + found


def _parents(host: str) -> Iterator[str]:
    """Yield the hosts above it, nearest first; an address has none."""
    if is_address(host):
        return
    while (dot := host.find(".")) >= 0:
        host = host[dot + 1 :]
        yield host
