"""Links in plain text, as mail programs make them."""

import re
from collections.abc import Iterator

from quell_email.domain.urls import MAX_URL
from quell_email.links.spots import WRAPPED, WRITTEN, Spot, trimmed, web_url

_BREAK = re.compile(r" \r?\n")


def spots(text: str, *, unbroken: bool = False) -> Iterator[Spot]:
    """Yield the links in order. `unbroken`: an address goes on over flowed lines (`DelSp=yes`)."""
    for found in (WRAPPED if unbroken else WRITTEN).finditer(text):
        written = trimmed(found[0][:MAX_URL])
        if url := web_url(_BREAK.sub("", written)):
            yield Spot(found.start(), found.start() + len(written), url)
