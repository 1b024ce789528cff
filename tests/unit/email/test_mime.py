"""Every part of a message is found where it is, by the number that IMAP gives it."""

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings

from hostile_mime import Mail, broken, messages
from quell_email.domain.headers import UnreadableError
from quell_email.domain.mime import parts

NESTED = b"""\
Content-Type: multipart/mixed; boundary=outer

--outer

text
--outer
Content-Type: message/rfc822

Subject: inner
Content-Type: multipart/mixed; boundary=inner

--inner

first
--inner
Content-Type: message/rfc822

Subject: innermost

leaf
--inner--
--outer
Content-Type: multipart/digest; boundary=digest

--digest

Subject: digested

x
--digest--
--outer--
"""


def numbers(raw: bytes) -> list[str]:
    """Return the numbers of all leaves."""
    return [part.number for part in parts(raw)]


def test_numbers_are_those_of_imap() -> None:
    """RFC 9051, 6.4.5: a message's only part is 1, a message within has its own parts below its number."""
    assert numbers(NESTED) == ["1", "2", "2.1", "2.2", "2.2.1", "3.1", "3.1.1"]
    assert numbers(b"Subject: x\n\nbody") == ["1"]
    assert numbers(b"Content-Type: message/rfc822\n\nSubject: x\n\nbody") == ["1", "1.1"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example])
@given(messages())
def test_what_was_put_in_is_found(mail: Mail) -> None:
    """Number, place and decoded content of every leaf, whatever boundaries, line ends and encodings there are."""
    assert [(part.number, part.content) for part in parts(mail.raw)] == [
        (leaf.number, leaf.content) for leaf in mail.leaves
    ]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example])
@given(broken())
def test_the_broken_is_read_or_said_to_be_unreadable(raw: bytes) -> None:
    """No other error, and no part lies outside of what holds it."""
    try:
        found = list(parts(raw))
    except UnreadableError:
        return
    for part in found:
        assert 0 <= part.head <= part.start <= part.end <= len(part.raw)
        for outer in part.above:
            assert outer.raw is not part.raw or outer.start <= part.head <= part.end <= outer.end


def test_a_message_that_was_encoded_as_a_whole_is_seen_through() -> None:
    """Some readers open it all the same, so what is in it counts."""
    raw = b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogeAoKaGlkZGVu"
    assert [part.content for part in parts(raw)] == [b"Subject: x\n\nhidden", b"hidden"]


def test_comments_hide_no_boundary() -> None:
    """A reader skips them, wherever they stand."""
    raw = b"Content-Type: (x) multipart/mixed (y); boundary=b (z)\n\n--b\n\nseen\n--b--\n"
    assert [part.content for part in parts(raw)] == [b"seen"]


def test_a_multipart_without_its_boundary_is_text() -> None:
    """It is shown as such, so its links count."""
    (part,) = parts(b"Content-Type: multipart/mixed; boundary=b\n\nhttp://evil.example/")
    assert (part.number, part.content_type, part.content) == ("1", "text/plain", b"http://evil.example/")


@pytest.mark.parametrize("said", ["boundary*0=b; boundary*;=c", "boundary*0*=b''%; boundary*1=c; boundary*1*=d"])
def test_parameters_that_make_no_sense_are_never_taken_for_clean(said: str) -> None:
    """The standard library breaks at some of them."""
    raw = f"Content-Type: multipart/mixed; {said}\n\n--bc\n\nx\n--bc--".encode()
    with contextlib.suppress(UnreadableError):
        assert [part.number for part in parts(raw)] == ["1"]
