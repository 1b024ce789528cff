"""The pattern that blocks a URL as evidence names it: canonical as browsers have it (WHATWG URL), wildcards escaped."""

import re

import ada_url
import protovalidate
from quell.remediation.v1 import email_pb2

from quell_runtime.public_suffixes import is_public_suffix

_SCHEMES = frozenset({"http:", "https:", "ftp:"})


class TargetRefusedError(Exception):
    """A target that can't be acted on as it is. The message is one sentence for people."""


def of_url(url: str, *, refuse_suffixes: bool) -> str:
    """Return the pattern that blocks just this URL.

    User, password and fragment are left out: a click reaches the same page with or without them. A `*` of the URL is
    written `%2A`, since in a pattern it stands for any text.

    Raises:
        TargetRefusedError: It is no absolute http, https or ftp URL, can't be written as a pattern, or its host is a
            public suffix and these are refused.

    """
    try:
        found = ada_url.URL(url)
        if found.protocol not in _SCHEMES:
            raise TargetRefusedError("Only http, https and ftp URLs can be blocked.")
        host = found.hostname.rstrip(".")
    except ValueError:
        raise TargetRefusedError("It is not an absolute URL.") from None
    if refuse_suffixes and is_public_suffix(host):
        raise TargetRefusedError("Its host is a public suffix: it would block more than one site.")
    port = f":{found.port}" if found.port else ""
    pattern = f"{found.protocol}//{host}{port}" + f"{found.pathname}{found.search}".replace("*", "%2A")
    if protovalidate.collect_violations(email_pb2.BlockUrl(pattern=pattern)):
        raise TargetRefusedError("It can't be written as a pattern: its host has no dot, or it is too long.")
    return pattern


def host_of(pattern: str) -> str:
    """Return the host that a pattern is about, in lower case; `*.example.org` is about `example.org`."""
    rest = pattern.lower().split("://", 1)[-1].removeprefix("*.")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    return authority if authority.endswith("]") else authority.rsplit(":", 1)[0].rstrip(".")
