"""What a pattern blocks: the known table where our syntax agrees, and where it blocks more."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell_email.domain.blocklist import Blocklist
from quell_email.domain.errors import PatternInvalidError
from quell_email.domain.patterns import pattern_of
from quell_email.domain.urls import canonical


def blocks(pattern: str, *urls: str) -> list[str]:
    """Return those of some URLs that a pattern blocks."""
    blocklist = Blocklist()
    blocklist.add(pattern_of(pattern))
    return [url for url in urls if blocklist.match(canonical(f"https://{url}"))]


AGREED = [
    (
        "contoso.com",
        ["contoso.com", "contoso.com/a", "payroll.contoso.com", "www.contoso.com/q=a@contoso.com"],
        ["abc-contoso.com"],
    ),
    (
        "*.contoso.com",
        ["www.contoso.com", "xyz.abc.contoso.com"],
        ["contoso.com", "123contoso.com", "test.com/contoso.com"],
    ),
    (
        "contoso.com/a/*",
        ["contoso.com/a/b", "contoso.com/a/b/c", "contoso.com/a/?q=joe@t.com"],
        ["contoso.com", "contoso.com/a", "www.contoso.com"],
    ),
    ("contoso.com/*", ["contoso.com/a", "contoso.com/a/b/c", "contoso.com/?q=x"], []),
    ("*.contoso.com/*", ["abc.contoso.com/ab", "www.contoso.com/a"], ["contoso.com/b"]),
    ("~contoso.com", ["contoso.com", "www.contoso.com", "xyz.abc.contoso.com"], ["123contoso.com"]),
    ("~contoso.com~", ["contoso.com", "contoso.com/a", "www.contoso.com/b"], ["123contoso.com", "contoso.org"]),
    ("1.2.3.4", ["1.2.3.4"], ["11.2.3.4/a", "1.2.3.40"]),
    ("1.2.3.4/*", ["1.2.3.4/b"], []),
]
OURS = [
    # No entry reaches into another host's path: a false positive that nobody asked for.
    ("contoso.com", [], ["test.com/contoso.com", "test.com/q=contoso.com"]),
    ("~contoso.com~", [], ["test.com/contoso.com"]),
    ("~contoso.com", ["contoso.com/abc"], []),
    # A host or an address means all its paths, a prefix also what is nothing but it.
    ("*.contoso.com", ["www.contoso.com/abc"], []),
    ("1.2.3.4", ["1.2.3.4/a"], []),
    ("contoso.com/*", ["contoso.com"], ["www.contoso.com/a"]),
    # Pages: any query unless the pattern names one; any port unless the pattern names one.
    ("https://contoso.com/a", ["contoso.com/a", "contoso.com/a?id=7", "contoso.com:8443/a"], ["contoso.com/a/b"]),
    ("contoso.com/a?id=1", ["contoso.com/a?id=1"], ["contoso.com/a", "contoso.com/a?id=2"]),
    ("https://contoso.com", ["contoso.com", "contoso.com/?x=1"], ["contoso.com/a", "www.contoso.com"]),
    ("contoso.com:8080/a*", ["contoso.com:8080/abc"], ["contoso.com/abc"]),
    ("contoso.com:8080", ["contoso.com:8080/abc", "www.contoso.com:8080"], ["contoso.com/abc"]),
    ("contoso.com/a%2A", ["contoso.com/a*"], ["contoso.com/ab"]),
]


@pytest.mark.parametrize(("pattern", "matched", "unmatched"), AGREED + OURS)
def test_a_pattern_blocks_what_it_says(pattern: str, matched: list[str], unmatched: list[str]) -> None:
    """All that match and none that do not."""
    assert blocks(pattern, *matched, *unmatched) == matched


@pytest.mark.parametrize(
    "pattern",
    [
        *("contoso", "*.contoso.*", "*.com", "*.pdf", "*contoso.com", "contoso.com*", "*", "*.*", "conto*so.com"),
        *("contoso.com/**", "contoso.com/*/*", "com", "co.uk", "*.co.uk", "github.io", "*.1.2.3.4", "", "http://"),
        *("~1.2.3.4", "~com", "~contoso.com/a", "contoso.com~", "~*.contoso.com", "~contoso.com:80", "~contoso.com~/a"),
        *('"contoso.com"', "'contoso.com'", "contoso.c", "a..com", "~~contoso.com", "*.com/*", "https://*.co.uk/*"),
        *("javascript://contoso.com/x", "contoso.com/a#b*", "con toso.com", "http://[::1", "xn--/"),
    ],
)
def test_what_is_no_pattern_or_blocks_everybody_is_refused(pattern: str) -> None:
    """A slip of the pen blocks nothing."""
    with pytest.raises(PatternInvalidError):
        pattern_of(pattern)


@pytest.mark.parametrize(
    "spelling",
    ["Contoso.com./a*", "http://contoso.com:80/%61*", "https://x@CONTOSO.com/b/../a*", "contoso.com:443//a*"],
)
def test_one_pattern_has_one_canonical_form(spelling: str) -> None:
    """However it is written, it is one item; and the form reads as itself."""
    assert str(pattern_of(spelling)) == "contoso.com/a*"


@pytest.mark.parametrize(
    "spelling", ["~Contoso.com", "~contoso.com~", "CONTOSO.com.", " contoso.com ", "contoso.com:443"]
)
def test_a_host_has_one_canonical_form(spelling: str) -> None:
    """It means the host, the hosts below it, and all their paths."""
    assert str(pattern_of(spelling)) == "contoso.com"


@pytest.mark.parametrize("spelling", ["0x7f.1/*", "127.0.0.1/*", "http://2130706433/*", "\uff11\uff12\uff17.1/*"])
def test_an_address_has_one_canonical_form(spelling: str) -> None:
    """Octal, hexadecimal, joined, full-width."""
    assert str(pattern_of(spelling)) == "127.0.0.1/*"


@pytest.mark.parametrize(
    "spelling", ["b\u00fccher.example", "xn--bcher-kva.example", "B\u00dcCHER.example", "~bu\u0308cher.example"]
)
def test_a_name_in_any_script_has_one_canonical_form(spelling: str) -> None:
    """It is the one that goes over the wire."""
    assert str(pattern_of(spelling)) == "xn--bcher-kva.example"


LABELS = st.text(alphabet=string.ascii_lowercase, min_size=1, max_size=4)
HOSTS = st.lists(LABELS, min_size=2, max_size=4).map(lambda labels: ".".join([*labels, "example"]))
TARGETS = st.text(alphabet="ab/?=.", max_size=6).map(lambda rest: f"/{rest}" if rest else "")
PATTERNS = st.builds(
    lambda below, host, target, more: f"{'*.' if below else ''}{host}{target}{'*' if more and target else ''}",
    st.booleans(),
    HOSTS,
    TARGETS,
    st.booleans(),
)


def naive(pattern: str, url: str) -> bool:
    """Tell slowly, from the words of the documentation, whether a pattern blocks a URL."""
    read, found = pattern_of(pattern), canonical(url)
    beneath = found.host.endswith(f".{read.host}")
    if read.target is None:
        return beneath or (found.host == read.host and not read.below)
    if not (beneath if read.below else found.host == read.host):
        return False
    if read.prefix:
        return found.target.startswith(read.target)
    return read.target in (found.target, found.path)


@given(patterns=st.lists(PATTERNS, max_size=6), host=HOSTS, target=TARGETS)
def test_the_matcher_finds_what_a_slow_reading_finds(patterns: list[str], host: str, target: str) -> None:
    """Against every pattern one by one; and taken out again, nothing is left."""
    blocklist = Blocklist()
    for pattern in patterns:
        blocklist.add(pattern_of(pattern))
    url = f"https://{host}{target}"
    found = blocklist.match(canonical(url))
    expected = {str(pattern_of(pattern)) for pattern in patterns if naive(pattern, url)}
    assert (found in expected) if expected else found is None
    for pattern in patterns:
        assert pattern_of(str(pattern_of(pattern))) == pattern_of(pattern)
        blocklist.remove(pattern_of(pattern))
    assert blocklist.match(canonical(url)) is None
