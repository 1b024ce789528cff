"""Safe links: where one really leads. Other vendors' by their well-known hosts and the way that each writes it.

Ours are told by their path, on any host and whoever made them: mail that came by our filter has nothing but those.
"""

import base64
import re
from binascii import Error
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import unquote

from ada_url import URL

from quell_email.domain.errors import UrlInvalidError
from quell_email.domain.urls import CanonicalUrl, canonical, parsed, query_of
from quell_runtime.click_links import PATH, told

MAX_WRAPPINGS = 5
_SCHEME = re.compile(r"^(https?|ftp):/+")
_PROOFPOINT_3 = re.compile(r"/v3/__(.+?)__;([A-Za-z0-9_-]*)")
_AVANAN = re.compile(r"/v2/_{1,3}(.+?)_{3}")
_RUNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
"""Of version 3: `**` and the sign at place n stand for n + 2 characters at once."""
_HIDDEN = re.compile(r"\*(\*.)?")


def unwrapped(text: str) -> list[CanonicalUrl]:
    """Return the URL and what it wraps, outermost first. A click is refused if any of them is blocked.

    Raises:
        UrlInvalidError: The outermost is no absolute URL of the web.

    """
    layers = [canonical(text)]
    while len(layers) <= MAX_WRAPPINGS and (text := inner(parsed(text), layers[-1].host)):
        try:
            layers.append(canonical(text))
        except UrlInvalidError:
            break
    return layers


def inner(url: URL, host: str) -> str:
    """Return what a safe link wraps; `host` is its canonical host. Empty if it is none, or does not tell."""
    if url.pathname.startswith(PATH) and _SCHEME.match(target := told(url.pathname[len(PATH) :])):
        return target
    while host:
        read = _WRAPPERS.get(host)
        if read and (found := read(url)):
            return found
        host = host.partition(".")[2]
    return ""


def _at(path: str, *names: str) -> Callable[[URL], str]:
    """Return the reader of a wrapper that has the target in one of these parameters, below a path."""
    return lambda url: _parameter(url, names) if url.pathname.startswith(path) else ""


def _parameter(url: URL, names: Sequence[str]) -> str:
    query = dict(query_of(url))
    return next((query[name] for name in names if name in query), "")


def _proofpoint(url: URL) -> str:
    if found := _PROOFPOINT_3.search(url.pathname + url.search):
        # Version 3 writes one `/` for the two after the scheme.
        return _SCHEME.sub(r"\1://", _revealed(found[1], found[2]))
    target = _parameter(url, ("u",))
    if url.pathname.startswith("/v2/"):
        return unquote(target.replace("-", "%").replace("_", "/"))
    return target if url.pathname.startswith("/v1/") else ""


def _revealed(text: str, hidden: str) -> str:
    """Put the characters back that version 3 wrote as `*` and keeps, in order, behind the URL."""
    try:
        kept = base64.urlsafe_b64decode(hidden + "=" * (-len(hidden) % 4)).decode("utf-8", "replace")
    except (Error, ValueError):
        return text
    place = 0

    def put_back(mark: re.Match[str]) -> str:
        nonlocal place
        count = _RUNS.find(mark[1][1]) + 2 if mark[1] else 1
        piece = kept[place : place + count]
        place += count
        return piece or mark[0]

    return _HIDDEN.sub(put_back, text)


def _cisco(url: URL) -> str:
    """Read `/token/escaped`, or the parameter `url`."""
    return _parameter(url, ("url",)) or unquote(url.pathname.partition("/")[2].partition("/")[2])


def _sophos(url: URL) -> str:
    """Read `u`, the target in base64; where that is not to be read, `d`, which is at least its host."""
    hidden = _parameter(url, ("u",))
    try:
        target = base64.b64decode(hidden.replace("-", "+").replace("_", "/") + "=" * (-len(hidden) % 4)).decode()
    except (Error, ValueError):
        target = ""
    return target if _SCHEME.match(target) else _host_alone(_parameter(url, ("d",)))


def _mimecast(url: URL) -> str:
    """Return the host alone: the target itself is Mimecast's secret."""
    return _host_alone(_parameter(url, ("domain",)))


def _avanan(url: URL) -> str:
    found = _AVANAN.search(url.pathname + url.search)
    return _SCHEME.sub(r"\1://", found[1]) if found else ""


def _google(url: URL) -> str:
    """Read a result's link, or a page for telephones: `/amp/s/` and the target."""
    path = url.pathname.removeprefix("/amp/")
    if path != url.pathname:
        return f"https://{path.removeprefix('s/')}{url.search}"
    return _parameter(url, ("q", "url")) if path.startswith("/url") else ""


def _translated(url: URL) -> str:
    """Read `evil-example.translate.goog`: dots are written `-`, and `-` twice."""
    label = url.hostname.partition(".")[0].replace("--", " ").replace("-", ".").replace(" ", "-")
    return f"https://{label}{url.pathname}{url.search}"


def _bing(url: URL) -> str:
    """Read `u`: `a1`, and the target in base64."""
    hidden = _parameter(url, ("u",)) if url.pathname.startswith("/ck/") else ""
    try:
        return base64.urlsafe_b64decode(hidden[2:] + "=" * (-len(hidden[2:]) % 4)).decode()
    except (Error, ValueError):
        return ""


def _host_alone(name: str) -> str:
    return f"http://{name}/" if name else ""


_WRAPPERS: Mapping[str, Callable[[URL], str]] = {
    "safelinks.protection.outlook.com": _at("/", "url"),
    "linkprotect.cudasvc.com": _at("/", "a"),
    "clicktime.symantec.com": _at("/", "u"),
    "protect2.fireeye.com": _at("/", "u"),
    "trendmicro.com": _at("/wis/clicktime/", "url"),
    "link.edgepilot.com": _at("/", "u"),
    "urldefense.com": _proofpoint,
    "urldefense.proofpoint.com": _proofpoint,
    "secure-web.cisco.com": _cisco,
    "protection.sophos.com": _sophos,
    "mimecast.com": _mimecast,
    "mimecastprotect.com": _mimecast,
    "avanan.click": _avanan,
    "protect.checkpoint.com": _avanan,
    "google.com": _google,
    "translate.google.com": _at("/translate", "u"),
    "translate.goog": _translated,
    "bing.com": _bing,
    "youtube.com": _at("/redirect", "q"),
    "l.facebook.com": _at("/", "u"),
    "lm.facebook.com": _at("/", "u"),
    "l.instagram.com": _at("/", "u"),
    "linkedin.com": _at("/redir/redirect", "url"),
    "slack-redir.net": _at("/", "url"),
    "out.reddit.com": _at("/", "url"),
    "duckduckgo.com": _at("/l/", "uddg"),
    "steamcommunity.com": _at("/linkfilter", "url", "u"),
    "vk.com": _at("/away.php", "to"),
}
"""How to read the links of a host and those below it."""
