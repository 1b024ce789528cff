"""Other vendors' safe links: where one really leads. Only their well-known hosts, by the parameter that they use."""

import re
from urllib.parse import unquote

from ada_url import URLSearchParams

from quell_email.domain.errors import UrlInvalidError
from quell_email.domain.urls import CanonicalUrl, canonical, parsed

MAX_WRAPPINGS = 5
# Host (and those below it) -> the parameters that hold the target.
_PARAMETERS = {
    "safelinks.protection.outlook.com": ("url",),
    "linkprotect.cudasvc.com": ("a",),
    "clicktime.symantec.com": ("u",),
    "protect2.fireeye.com": ("u",),
    "secure-web.cisco.com": ("url",),
    "google.com": ("q", "url"),
    "l.facebook.com": ("u",),
    "youtube.com": ("q",),
    "slack-redir.net": ("url",),
}
_REDIRECT_PATHS = {"google.com": "/url", "youtube.com": "/redirect"}
_PROOFPOINT_3 = re.compile(r"/v3/__(.+?)__;")


def unwrapped(text: str) -> list[CanonicalUrl]:
    """Return the URL and what it wraps, outermost first. A click is refused if any of them is blocked.

    Raises:
        UrlInvalidError: The outermost is no absolute URL of the web.

    """
    layers = [canonical(text)]
    while len(layers) <= MAX_WRAPPINGS and (text := _inner(text, layers[-1].host)):
        try:
            layers.append(canonical(text))
        except UrlInvalidError:
            break
    return layers


def _inner(text: str, host: str) -> str:
    url = parsed(text)
    if host in {"urldefense.com", "urldefense.proofpoint.com"}:
        return _proofpoint(url.pathname, URLSearchParams(url.search))
    for wrapper, names in _PARAMETERS.items():
        if host == wrapper or host.endswith(f".{wrapper}"):
            if not url.pathname.startswith(_REDIRECT_PATHS.get(wrapper, "/")):
                return ""
            query = URLSearchParams(url.search)
            return next((query.get(name) for name in names if query.has(name)), "")
    return ""


def _proofpoint(path: str, query: URLSearchParams) -> str:
    found = _PROOFPOINT_3.search(path)
    if found:
        # Version 3 writes one `/` for the two after the scheme.
        return re.sub(r"^(https?|ftp):/+", r"\1://", found[1])
    if path.startswith("/v2/") and query.has("u"):
        return unquote(query.get("u").replace("-", "%").replace("_", "/"))
    return ""
