"""What people see of a hostile message is text, and leads nowhere."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail_tree import ATTACHMENT, CAMPAIGN
from quell_email.domain.defanging import defanged
from quell_email.domain.mime import UnparsableError
from quell_email.parsing.parser import MAX_ANSWER
from quell_email.parsing.viewing import read_view


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see http://evil.example/a.b?c=d.e", "see hxxp://evil[.]example/a[.]b?c=d[.]e"),
        ("HTTPS://EVIL.example", "hxxpS://EVIL[.]example"),
        ("ftp://1.2.3.4/x", "fxp://1[.]2[.]3[.]4/x"),
        ("www.evil.example and evil\u3002example", "www[.]evil[.]example and evil[.]example"),
        ("javascript:alert(1) data:text/html", "javascript[:]alert(1) data[:]text/html"),
        ("It ends. Here, at 5.", "It ends. Here, at 5."),
        ("gnp\u202eexe\x1b[31m\x00\x07", "gnp exe [31m  "),
        ("pay@evil.example", "pay@evil[.]example"),
    ],
)
def test_no_address_leads_anywhere(text: str, shown: str) -> None:
    """Nor does anything turn the text round, or steer a terminal."""
    assert defanged(text) == shown


@given(st.text(alphabet="htpsfw:/.\u3002-a1\u202e\x1b \n", max_size=60))
def test_whatever_is_written_nothing_is_left_that_a_program_would_link(text: str) -> None:
    """No scheme of the web, no dotted name; doing it again is not needed."""
    shown = defanged(text)
    assert "http:" not in shown.lower()
    assert "ftp:" not in shown.lower()
    assert not re.search(r"[^\W_][.][^\W_]", shown)
    assert all(sign.isprintable() or sign == "\n" for sign in shown)


def test_a_message_shows_its_headers_its_text_and_what_hangs_on_it() -> None:
    """Of HTML what stands there and where each link leads; of an attachment its name, size and digest."""
    view = read_view(CAMPAIGN)
    headers = dict(view["headers"])
    assert headers["From"] == '"Payroll" <pay@mail[.]evil[.]example>'
    assert headers["Subject"] == "Re: Your salary €"
    assert view["text"] == "[part 1, text/html]\nLook [to hxxps://evil[.]example/%6cogin?u=1&x=2] here."
    assert view["parts"] == [
        {"content_type": "application/pdf", "file_name": "bill.pdf", "size_bytes": 12, "sha256": ATTACHMENT}
    ]
    assert not view["cut"]


def html(body: str) -> str:
    """Return what is seen of a page."""
    raw = f"Content-Type: text/html; charset=utf-8\r\n\r\n{body}".encode()
    found: str = read_view(raw)["text"].partition("\n")[2]
    return found


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("<p>one</p><p>two<br>three", "one\ntwo\nthree"),
        ("a<script>alert('http://x.y')</script>b<style>p{}</style>c", "abc"),
        ("<img src='http://evil.example/p.gif' alt='your bank'>", "[picture your bank]"),
        (
            "<form action='http://evil.example'><button formaction='//x.y'>Go",
            "[to hxxp://evil[.]example] [to //x[.]y] Go",
        ),
        ("&lt;b&gt;&#104;ttp://evil.example", "<b>hxxp://evil[.]example"),
        ("<a href='java&#115;cript:x'>y</a>", "[to javascript[:]x] y"),
        ("a<b<c", "a<b<c"),
    ],
)
def test_html_is_read_as_text(body: str, shown: str) -> None:
    """Without tags, scripts and styles."""
    assert html(body) == shown


def test_what_is_attached_is_no_text_of_the_message() -> None:
    """It is told of as a part, whatever type it says."""
    raw = b"Content-Type: text/html; name=a.html\r\nContent-Disposition: attachment\r\n\r\n<p>hidden"
    view = read_view(raw)
    assert (view["text"], view["parts"][0]["file_name"]) == ("", "a.html")


def test_the_worst_answer_is_one_that_the_parent_takes() -> None:
    """Of signs that JSON writes in twelve bytes, as many as there can be."""
    sign = "\U0001f4a3"
    headers = "".join(f"X-{number}: {sign * 2000}\r\n" for number in range(120))
    head = f"{headers}Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n"
    part = f'--x\r\nContent-Type: application/x; name="{sign * 900}"\r\n\r\n1\r\n'
    raw = f"{head}{sign * 100_000}\r\n{part * 200}--x--\r\n".encode()
    view = read_view(raw)
    assert view["cut"]
    assert len(json.dumps(view)) < MAX_ANSWER


def test_what_is_beyond_the_limits_is_said_so() -> None:
    """It is never shown in part, as if that were all."""
    with pytest.raises(UnparsableError):
        read_view(b"X: " + b"a" * (2 << 20) + b"\r\n\r\nbody")
