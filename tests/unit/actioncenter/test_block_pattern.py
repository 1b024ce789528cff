"""A URL becomes the pattern that blocks it and nothing else."""

import ada_url
import protovalidate
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quell.remediation.v1 import email_pb2

from quell_actioncenter.domain.block_pattern import TargetRefusedError, host_of, of_url


@pytest.mark.parametrize(
    ("url", "pattern"),
    [
        ("https://evil.example", "https://evil.example/"),
        ("HTTPS://EVIL.example:443/A/../b", "https://evil.example/b"),
        ("http://evil.example:8080/x?q=1#part", "http://evil.example:8080/x?q=1"),
        ("http://user:secret@evil.example/", "http://evil.example/"),
        ("http://evil.example./x", "http://evil.example/x"),
        ("http://evil.example/a*b?c=*d", "http://evil.example/a%2Ab?c=%2Ad"),
        ("http://evil.example/a b", "http://evil.example/a%20b"),
        ("http://%65vil.example/", "http://evil.example/"),
        ("http://evil.example\\@good.example/", "http://evil.example/@good.example/"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("http://[2001:db8::1]/x", "http://[2001:db8::1]/x"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("  http://evil.example/x\n", "http://evil.example/x"),
        ("ftp://evil.example/x", "ftp://evil.example/x"),
    ],
)
def test_it_is_written_as_browsers_read_it(url: str, pattern: str) -> None:
    """Canonical, without user and fragment, its own stars escaped."""
    assert of_url(url, refuse_suffixes=True) == pattern


@pytest.mark.parametrize(
    "url",
    [
        "",
        "evil.example/login",
        "/login",
        "javascript:alert(1)",
        "mailto:ann@evil.example",
        "data:text/html,x",
        "file:///etc/passwd",
        "http://localhost/x",
        "http://",
        "http://[::1/",
        "http://evil.example/" + "a" * 2048,
        "http://co.uk/",
        "https://github.io/x",
    ],
)
def test_what_cannot_be_a_pattern_is_refused(url: str) -> None:
    """With one sentence for people, that does not repeat the URL."""
    with pytest.raises(TargetRefusedError) as refusal:
        of_url(url, refuse_suffixes=True)
    assert str(refusal.value).endswith(".")
    assert not url or url not in str(refusal.value)


@given(
    st.one_of(
        st.text(max_size=60),
        st.builds("http://evil.example/{}".format, st.text(max_size=60)),
        st.builds("http://{}/x".format, st.text(min_size=1, max_size=30)),
    )
)
def test_every_pattern_is_one_that_the_contract_allows(url: str) -> None:
    """Whatever the URL: a pattern passes the rules of `block_url`, is its own pattern, and has no wildcard."""
    try:
        pattern = of_url(url, refuse_suffixes=False)
    except TargetRefusedError:
        return
    protovalidate.validate(email_pb2.BlockUrl(pattern=pattern))
    assert "*" not in pattern
    assert of_url(pattern, refuse_suffixes=False) == pattern
    assert host_of(pattern) == ada_url.URL(pattern).hostname


@pytest.mark.parametrize(
    ("pattern", "host"),
    [
        ("evil.example", "evil.example"),
        ("*.Evil.example", "evil.example"),
        ("evil.example/a*", "evil.example"),
        ("https://evil.example:8080/a?b", "evil.example"),
        ("http://[2001:db8::1]/", "[2001:db8::1]"),
        ("http://[2001:db8::1]:8080/", "[2001:db8::1]"),
    ],
)
def test_a_pattern_is_about_a_host(pattern: str, host: str) -> None:
    """However it is written."""
    assert host_of(pattern) == host
