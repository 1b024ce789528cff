"""Every spelling of a URL has one canonical form, whatever an attacker writes."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell_email.domain.errors import UrlInvalidError
from quell_email.domain.urls import canonical
from quell_email.domain.wrappers import unwrapped
from quell_runtime.click_links import WHO_BYTES, link

EVIL = "evil.example/login"


@pytest.mark.parametrize(
    "spelling",
    [
        "http://evil.example/login",
        "https://EVIL.Example/login",
        "ftp://evil.example/login",
        "http://evil.example./login",
        "http://evil.example../login",
        "http://evil.example:80/login",
        "https://evil.example:443/login",
        "http://user:secret@evil.example/login",
        "http://good.example@evil.example/login",
        "http://evil.example\\login",
        "http:\\\\evil.example\\login",
        "http:evil.example/login",
        "http:////evil.example/login",
        "http://%65vil.example/login",
        "http://evil.example/%6Cogin",
        "http://evil.example/%256Cogin",
        "http://evil.example/%25256cogin",
        "http://evil.example/%%36Cogin",
        "http://evil.example/./x/../login",
        "http://evil.example/x/%2e%2e/login",
        "http://evil.example/x/%252e%252e/login",
        "http://evil.example//login",
        "http://evil.example/%2Flogin",
        "http://evil.example/login#anything",
        "http://evil.example/login?",
        "http://evil\u3002example/login",
        "http://\uff45\uff56\uff49\uff4c\uff0eexample/login",
        "ht\ntp://evil.exa\tmple/lo\rgin",
        "  http://evil.example/login  ",
    ],
)
def test_evasions_come_to_one_form(spelling: str) -> None:
    """What leads to one page is one URL."""
    assert str(canonical(spelling)) == EVIL


@pytest.mark.parametrize(
    "spelling",
    [
        "\uff11.\uff12.\uff13.\uff14",
        "[64:ff9b::102:304]",
        "1.2.3.4",
        "0x1.0x2.0x3.0x4",
        "01.02.03.04",
        "16909060",
        "0x01020304",
        "1.2.772",
        "1.2.3.4.",
        "0x1.2.3.4..",
        "[::ffff:1.2.3.4]",
    ],
)
def test_an_address_is_one_however_it_is_written(spelling: str) -> None:
    """Octal, hexadecimal, joined, mapped: what a browser connects to counts."""
    assert str(canonical(f"http://{spelling}/")) == "1.2.3.4/"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "evil.example/login",
        "//evil.example/login",
        "/login",
        "mailto:ann@example.org",
        "javascript:alert(1)",
        "data:text/html,x",
        "http://",
        "http://./",
        "http://a b/",
        "http://evil.example:99999/",
        "http://%2565vil.example/",
        "http://[::1/",
        "http://evil.example/" + "a" * 9000,
        "http://evil.example/\udc80",
    ],
)
def test_what_is_no_url_of_the_web_is_refused(text: str) -> None:
    """It is not to be followed."""
    with pytest.raises(UrlInvalidError):
        canonical(text)


PATHS = st.text(alphabet=string.ascii_letters + string.digits + "%/.\\ ?#&=*~+ü\t25", max_size=60)


@given(path=PATHS)
def test_the_canonical_form_is_its_own(path: str) -> None:
    """Making it canonical again changes nothing."""
    try:
        once = canonical(f"http://evil.example/{path}")
    except UrlInvalidError:
        return
    assert canonical(f"http://{once}") == once


@given(path=st.text(alphabet=string.ascii_letters + string.digits + "/._-", max_size=40), data=st.data())
def test_escaping_any_character_any_number_of_times_changes_nothing(path: str, data: st.DataObject) -> None:
    """An escape of an escape is what it stands for."""

    def escaped(sign: str) -> str:
        depth = data.draw(st.integers(0, 3))
        return sign if depth == 0 or sign == "/" else f"%{'25' * (depth - 1)}{ord(sign):02x}"

    spelt = "".join(map(escaped, path))
    assert canonical(f"http://evil.example/{spelt}") == canonical(f"http://evil.example/{path}")


@pytest.mark.parametrize(
    "wrapped",
    [
        "https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fevil.example%2Flogin&data=05%7C01",
        "https://urldefense.com/v3/__https://evil.example/login__;!!abc$",
        "https://urldefense.com/v3/__https:/evil.example/login__;!!abc$",
        "https://urldefense.proofpoint.com/v2/url?u=https-3A__evil.example_login&d=DwMF",
        "https://linkprotect.cudasvc.com/url?a=https%3a%2f%2fevil.example%2flogin&c=E",
        "https://www.google.com/url?q=https://evil.example/login&sa=D",
        "https://www.google.com/amp/s/evil.example/login",
        "https://evil-example.translate.goog/login",
        "https://translate.google.com/translate?sl=auto&u=https://evil.example/login",
        "https://urldefense.com/v3/__https://evil.ex*mple/log**A__;YWlu!!abc$",
        "https://urldefense.proofpoint.com/v1/url?u=https://evil.example/login&k=x",
        "https://secure-web.cisco.com/1aB-c/https%3A%2F%2Fevil.example%2Flogin",
        "https://eu-central-1.protection.sophos.com/?d=evil.example&u=aHR0cHM6Ly9ldmlsLmV4YW1wbGUvbG9naW4=&i=x",
        "https://url.avanan.click/v2/___https://evil.example/login___.YXAzOmU",
        "https://protect.checkpoint.com/v2/___https://evil.example/login___.YzJ1",
        "https://www.bing.com/ck/a?!&&p=1&u=a1aHR0cHM6Ly9ldmlsLmV4YW1wbGUvbG9naW4&ntb=1",
        "https://imsva91-ctp.trendmicro.com:443/wis/clicktime/v1/query?url=https%3a%2f%2fevil.example%2flogin",
        "https://duckduckgo.com/l/?uddg=https%3A%2F%2Fevil.example%2Flogin",
        "https://l.facebook.com/l.php?u=https%3A%2F%2Fevil.example%2Flogin&h=AT",
        "https://www.youtube.com/redirect?event=video&q=https%3A%2F%2Fevil.example%2Flogin",
        link("https://click.example.org", b"key", "https://evil.example/login"),
        link("https://click.example.org", b"another", "https://EVIL.example/login#x", b"w" * WHO_BYTES),
    ],
)
def test_safe_links_are_taken_off(wrapped: str) -> None:
    """What counts is where it leads; the wrapper is looked at, too."""
    assert [str(layer) for layer in unwrapped(wrapped)] == [str(canonical(wrapped)), EVIL]


@pytest.mark.parametrize(
    "wrapped",
    [
        "https://protect-eu.mimecast.com/s/aB3d?domain=evil.example",
        "https://url.us.m.mimecastprotect.com/s/x?domain=evil.example",
        "https://eu.protection.sophos.com/?d=evil.example&u=%ff",
    ],
)
def test_a_safe_link_that_hides_its_target_tells_its_host(wrapped: str) -> None:
    """So a host that is blocked as a whole is."""
    assert str(unwrapped(wrapped)[-1]) == "evil.example/"


def test_wrappings_end() -> None:
    """Wrapped in itself for ever, it is taken off a few times; another's parameters are left alone."""
    url = "https://evil.example/"
    for _ in range(9):
        url = f"https://google.com/url?q={url.replace('%', '%25').replace('&', '%26')}"
    assert len(unwrapped(url)) == 6
    assert len(unwrapped("https://good.example/?url=https://evil.example/")) == 1
    assert len(unwrapped("https://google.com/search?q=https://evil.example/")) == 1


@pytest.mark.parametrize(
    "last", ["", ".", "login", "bG9naW4", "bG9naW4.AAAA", "é", "aHR0cHM6Ly9ldmlsLmV4YW1wbGU!", "__8"]
)
def test_a_path_like_ours_that_tells_no_url_is_a_page(last: str) -> None:
    """Whoever has a folder of the same name."""
    assert len(unwrapped(f"https://good.example/c/1/{last}")) == 1
