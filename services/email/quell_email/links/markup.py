"""Links in HTML: what a tag leads to, and addresses in the text that mail programs would make links by themselves.

The text is not parsed into a tree and written anew, since nothing but links may change. Tags are read as browsers do
(HTML, 13.2.5), inside comments too: Outlook shows what stands in some.
"""

import re
from collections.abc import Iterable, Iterator
from html import unescape
from html.entities import html5
from itertools import islice

from ada_url import join_url

from quell_email.domain.urls import MAX_URL
from quell_email.links.spots import WRITTEN, Spot, trimmed, web_url

_MARKUP = re.compile(r"<!--|--!?>|<[!?][^>]*>?|</([A-Za-z][^\s/>]*)[^>]*>?|<([A-Za-z][^\s/>]*)")
_ATTRIBUTE = re.compile(r"""[\s/]*([^\s/>][^\s/>=]*)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s>]*))?""")
_REFERENCE = re.compile(r"&(?:#[0-9]+;?|#[xX][0-9A-Fa-f]+;?|([A-Za-z][A-Za-z0-9]*;?))(=?)")
_ENDING = re.compile(r"&(?:quot|lt|gt|nbsp|#0*3[49]|#0*160|#x0*2[27]|#x0*a0);?", re.IGNORECASE)
_LEADS = frozenset({"href", "xlink:href"})
_LOADS = frozenset({"link", "base"})
"""Their `href` is followed by nobody's click."""
_UNSEEN = frozenset({"script", "style", "title", "textarea", "xmp"})
_AROUND = "".join(map(chr, range(33)))
_WEB = re.compile(r"(?:https?|ftp):", re.IGNORECASE)
_BASE = re.compile(r"<base(?=[\s/>])", re.IGNORECASE)
_BASES = 3
"""How many of them are looked at: the first that has an address counts."""
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def spots(text: str) -> Iterator[Spot]:
    """Yield the links in order."""
    base = _base(text)
    at, comment, anchor, unseen = 0, False, False, ""
    while (mark := _MARKUP.search(text, at)) is not None:
        if not (comment or anchor or unseen):
            yield from _written(text, at, mark.start())
        at = mark.end()
        if mark[0] == "<!--" or mark[0].startswith("--"):
            comment = mark[0] == "<!--"
        elif mark[1]:
            anchor = anchor and mark[1].lower() != "a"
            unseen = "" if mark[1].lower() == unseen else unseen
        elif mark[2]:
            name, attributes = mark[2].lower(), list(_attributes(text, at))
            at = _closed(text, attributes[-1].end() if attributes else at)
            leads = [each for each in attributes if each[2] and each[1].lower() in _LEADS and name not in _LOADS]
            yield from _led(leads, base)
            anchor = anchor or (name == "a" and bool(leads) and not comment)
            unseen = name if name in _UNSEEN and not (unseen or comment) else unseen
    if not (comment or anchor or unseen):
        yield from _written(text, at, len(text))


def _attributes(text: str, at: int) -> Iterator[re.Match[str]]:
    while (found := _ATTRIBUTE.match(text, at)) is not None:
        yield found
        at = found.end()


def _closed(text: str, at: int) -> int:
    """Return where a tag ends whose attributes end at a place."""
    end = text.find(">", at)
    return end + 1 if end >= 0 else len(text)


def _led(leads: Iterable[re.Match[str]], base: str) -> Iterator[Spot]:
    for found in leads:
        if url := _target(_value(found[2]), base):
            yield Spot(found.start(2), found.end(2), url, '"', '"')


def _target(value: str, base: str) -> str:
    """Return the absolute URL of an attribute, or an empty text if a click on it leads nowhere in the web."""
    plain = "".join(sign for sign in value.strip(_AROUND) if sign not in "\t\r\n")
    if plain.startswith(("//", "\\\\", "/\\", "\\/")) and not base:
        plain = "https:" + plain
    if not _SCHEME.match(plain) and base and not plain.startswith("#"):
        try:
            plain = join_url(base, plain)
        except ValueError:
            return ""
    return web_url(plain) if _WEB.match(plain) else ""


def _base(text: str) -> str:
    """Return what relative addresses are relative to, if the page says so."""
    for tag in islice(_BASE.finditer(text), _BASES):
        for found in _attributes(text, tag.end()):
            if found[1].lower() == "href" and found[2]:
                return web_url(_value(found[2]).strip(_AROUND))
    return ""


def _value(written: str) -> str:
    """Return an attribute's value as browsers decode it (HTML, 13.2.5.73): `&copy=` is no sign of copyright there."""
    if written[0] in "\"'" and written[-1] == written[0] and len(written) > 1:
        written = written[1:-1]

    def meant(found: re.Match[str]) -> str:
        name = found[1]
        if name is not None and (name not in html5 or (found[2] and not name.endswith(";"))):
            return found[0]
        return unescape(found[0].removesuffix("=")) + found[2]

    return _REFERENCE.sub(meant, written)


def _written(text: str, start: int, end: int) -> Iterator[Spot]:
    """Yield addresses in a run of text; what is seen stays, so that nobody makes a link of it but us."""
    for found in WRITTEN.finditer(text, start, end):
        written = trimmed(_ENDING.split(found[0][:MAX_URL], maxsplit=1)[0])
        if url := web_url(unescape(written)):
            yield Spot(found.start(), found.start() + len(written), url, '<a href="', f'">{written}</a>')
