"""Whatever a link is hidden in, one matcher sees where it may lead."""

import base64
import string
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell_email.domain.blocklist import Blocklist
from quell_email.domain.errors import UrlInvalidError
from quell_email.domain.patterns import pattern_of
from quell_email.domain.redirects import MAX_TARGETS, targets
from quell_runtime.click_links import link

EVIL = "https://evil.example/login"


@pytest.mark.parametrize(
    "url",
    [
        "https://good.example/?url=https://evil.example/login",
        "https://good.example/out?x=1&URL=https%3A%2F%2Fevil.example%2Flogin",
        "https://good.example/out?redirect_uri=https%253A%252F%252Fevil.example%252Flogin",
        "https://good.example/login?next=//evil.example/login",
        "https://good.example/login?next=%5C%5Cevil.example/login",
        "https://good.example/?u=aHR0cHM6Ly9ldmlsLmV4YW1wbGUvbG9naW4",
        "https://good.example/?goto=https://other.example/?to%3Dhttps://evil.example/login",
        "https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fgood.example%2F%3Fr%3Dhttp%3A%2F%2Fevil.example%2Flogin",
        link("https://click.example.org", b"key", "https://good.example/?url=https://evil.example/login"),
    ],
)
def test_where_a_redirector_is_told_to_lead_counts(url: str) -> None:
    """Nested, escaped, escaped again, without a scheme, in base64."""
    assert str(targets(url)[-1]) == "evil.example/login"


@pytest.mark.parametrize(
    "url",
    [
        "https://good.example/https://evil.example/login",
        "https://good.example/?note=https://evil.example/login",
        "https://good.example/?url=evil.example/login",
        "https://good.example/?url=javascript:alert(1)",
        "https://good.example/?u=aHR0cHM6Ly9_",
        "https://good.example/?u=%ff%fe&url=%ff",
        "https://good.example/#url=https://evil.example/login",
    ],
)
def test_what_is_no_redirect_is_left_alone(url: str) -> None:
    """Neither a mention in a path, nor a relative address, nor what is no URL of the web."""
    assert len(targets(url)) == 1


def test_what_leads_on_and_on_is_not_to_be_followed() -> None:
    """Deeper than anybody looks, nothing can hide."""
    url = EVIL
    for number in range(MAX_TARGETS):
        url = f"https://r{number}.example/?u={url}"
    with pytest.raises(UrlInvalidError):
        targets(url)
    with pytest.raises(UrlInvalidError):
        targets("https://good.example/?" + "&".join(f"u=https://r{number}.example/" for number in range(MAX_TARGETS)))


HIDINGS = [
    lambda url: f"https://good.example/?url={quote(url, safe='')}",
    lambda url: f"https://good.example/?u={base64.urlsafe_b64encode(url.encode()).decode().rstrip('=')}",
    lambda url: f"https://www.google.com/url?sa=D&q={quote(url, safe='')}",
    lambda url: f"https://eur01.safelinks.protection.outlook.com/?url={quote(url, safe='')}&data=05",
    lambda url: f"https://l.facebook.com/l.php?h=AT&u={quote(url, safe='')}",
    lambda url: f"https://secure-web.cisco.com/1x/{quote(url, safe='')}",
    lambda url: f"https://bing.com/ck/a?u=a1{base64.urlsafe_b64encode(url.encode()).decode().rstrip('=')}",
]
SIGNS = {
    ".": [".", "\u3002", "\uff0e", "%2e"],
    **{sign: [sign, chr(ord(sign) + 0xFEE0)] for sign in string.ascii_letters},
}


@st.composite
def spellings(draw: st.DrawFn) -> str:
    """Draw a way to write a link to a page of evil.example so that it does not look like one."""
    host = "".join(
        draw(st.sampled_from(SIGNS[sign])) for sign in draw(st.sampled_from(["evil.example", "EVIL.Example"]))
    )
    page = "".join(draw(st.sampled_from([sign, f"%{ord(sign):02x}", f"%25{ord(sign):02X}"])) for sign in "login")
    user = draw(st.sampled_from(["", "good.example@", "good.example%2f:x@"]))
    slashes = draw(st.sampled_from(["//", "\\\\", "/", "///"]))
    path = draw(st.sampled_from(["/", "//", "\\", "/./", "/x/../", "/x/%2e%2e/"]))
    tail = draw(st.sampled_from(["", "#top", "?", "?id=1", "?next=https://good.example/"]))
    scheme, end = draw(st.sampled_from(["https", "HTTP", "ftp"])), draw(st.sampled_from(["", ".", ":"]))
    url = f"{scheme}:{slashes}{user}{host}{end}{path}{page}{tail}"
    for hide in draw(st.lists(st.sampled_from(HIDINGS), max_size=3)):
        url = hide(url)
    return url


@given(url=spellings(), pattern=st.sampled_from(["evil.example", "https://evil.example/login", "evil.example/lo*"]))
def test_no_spelling_gets_past_the_block(url: str, pattern: str) -> None:
    """And none is blocked by an entry for another host: that is the control."""
    blocklist, other = Blocklist(), Blocklist()
    blocklist.add(pattern_of(pattern))
    other.add(pattern_of("devil.example"))
    found = targets(url)
    assert any(blocklist.match(each) for each in found)
    assert not any(other.match(each) for each in found)
