"""No message can crash the service, hold it up, or be taken for clean because it can't be read."""

import base64
import contextlib
import hashlib
import resource
import time
from collections.abc import Iterator

import pytest

from mail_tree import ATTACHMENT, CAMPAIGN
from quell_email.domain.attachments import CutError, Wanted
from quell_email.domain.cutting import Cutting
from quell_email.domain.facts import attachment_mark, url_mark
from quell_email.parsing.child import CPU_SECONDS, MEMORY_BYTES
from quell_email.parsing.parser import Parser

LIMIT_S = 4.5
"""Two seconds of processor time, on a machine that has other work, too."""
UNPARSABLE = {
    "100,000 parts": b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 100_000,
    "continued parameters": b"Content-Type: multipart/mixed;"
    + b"".join(b" a*%d=x;\n" % n for n in range(5000))
    + b"\n\n",
    "nested multiparts": b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(5000)
    ),
    "one boundary for all": b"Content-Type: multipart/mixed; boundary=b\n\n--b\n" * 5000,
    "messages in messages": b"Content-Type: message/rfc822\n\n" * 5000,
    "no boundary": b"Content-Type: multipart/mixed\n\nx",
    "31 bytes": b"Content-Type:multipart/;boundary=",
    "headers of 5 MB": b"A: b\n" * 1_000_000 + b"\n",
    "100,000 URLs": b"\n\n" + b"".join(b"http://a%d.example/ " % n for n in range(100_000)),
    "more than fits": b"\n\n" + b"\xff" * (64 << 20),
    "more than fits, encoded": b"Content-Type: text/html\nContent-Transfer-Encoding: base64\n\n" + b"/v7+" * (22 << 20),
    "encoded messages in messages": b"Content-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable\n\n"
    * 60,
    "global messages in messages": b"Content-Type: message/global\n\n" * 5000,
    "digests in digests": b"".join(
        b"Content-Type: multipart/digest; boundary=b%d\n\n--b%d\n\n" % (n, n) for n in range(60)
    ),
    "1,001 messages": b"Content-Type: multipart/digest; boundary=b\n\n" + b"--b\n\nSubject: x\n\ny\n" * 1001,
    "parts of parts of parts": b"Content-Type: multipart/mixed; boundary=a\n\n"
    + (b"--a\nContent-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 99 + b"--b--\n") * 99,
    "200,000 parts of nothing": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n" * 200_000,
    "a boundary of nothing": b'Content-Type: multipart/mixed; boundary=""\n\n--\n\nx\n----\n',
    "a boundary of blanks": b'Content-Type: multipart/mixed; boundary="   "\n\n--\n\nx\n----\n',
    "a boundary of 9,000 bytes": b'Content-Type: multipart/mixed; boundary="' + b"b" * 9000 + b'"\n\n--b\n\nx',
    "a subject of a million lines": b"Subject: x" + b"\n y" * 1_000_000 + b"\n\n",
}
HARMLESS = {
    "NUL": b"Subject: \0\0\n\n" + b"\0" * 1_000_000,
    "8-bit headers": b"Subject: \xff\xfe\x80\nFrom: \xe4@\xf6.example\n\nx",
    "encoded words that are no base64": b"Subject: =?utf-8?b?A?= =?utf-8?b?///AA?=\n\nx",
    "unfinished encoded words": b"Subject: " + b"=?a?q?" * 100_000 + b"\n\n",
    "a charset that nobody has": b"Content-Type: text/plain; charset=x-none\n\nhttp://evil.example/a",
    "a charset that is a codec": b"Content-Type: text/plain; charset=zlib\n\nhttp://evil.example/a",
    "a broken charset": b"Content-Type: text/plain; charset=utf-16\n\n\xd8\x00\xd8",
    "addresses without end": b"From: " + b"a@b," * 100_000 + b"\n\n",
    "attributes without end": b"Content-Type: text/html\n\n" + b"<a href=" * 500_000,
    "entities": b"Content-Type: text/html\n\n" + b"&#" * 1_000_000,
    "escapes of escapes": b"\n\nhttp://a.example/" + b"%25" * 1_000_000,
    "base64 in single letters": b"Content-Transfer-Encoding: base64\n\n" + b"A=\n" * 5_000_000,
    "quoted-printable": b"Content-Transfer-Encoding: quoted-printable\n\n" + b"=" * 5_000_000,
    "boundary spaces": b"Content-Type: multipart/mixed; boundary=b\n\n" + b"\n--b" + b" " * 1_000_000 + b"x",
    "carriage returns": b"\r" * 1_000_000 + b"\n\n",
}


@pytest.fixture(scope="module")
def parser() -> Iterator[Parser]:
    """Have one child for all, as the service has."""
    parser = Parser()
    yield parser
    parser.close()


def read(parser: Parser, raw: bytes) -> frozenset[bytes] | None:
    """Read headers and body, as the index does, in time."""
    begin = time.monotonic()
    if parser.headers(raw) is None:
        return None
    marks = parser.marks(raw)
    assert time.monotonic() - begin < 2 * LIMIT_S
    return marks


def assert_alive(parser: Parser) -> None:
    """See that honest mail is read as ever."""
    found = parser.headers(CAMPAIGN)
    assert found is not None
    assert found.message_id == "campaign-1@evil.example"


@pytest.mark.parametrize("name", UNPARSABLE)
def test_a_bomb_is_said_to_be_unparsable(parser: Parser, name: str) -> None:
    """In time, and the next message is read."""
    assert read(parser, UNPARSABLE[name]) is None
    assert_alive(parser)


@pytest.mark.parametrize("name", UNPARSABLE)
def test_a_bomb_costs_less_than_its_limit(name: str) -> None:
    """Two seconds of processor time and half a gigabyte, in a child of its own, its start included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with contextlib.closing(Parser()) as parser:
        assert read(parser, UNPARSABLE[name]) is None
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < CPU_SECONDS + 1
    # The greatest of all children so far, in KiB.
    assert after.ru_maxrss << 10 < max(MEMORY_BYTES, before.ru_maxrss << 10)


@pytest.mark.parametrize("raw", [*UNPARSABLE.values(), *HARMLESS.values()], ids=[*UNPARSABLE, *HARMLESS])
def test_no_bomb_goes_off_under_the_knife(parser: Parser, raw: bytes) -> None:
    """To cut something out of it is as harmless as to read it; what can't be read has nothing to cut."""
    for wanted in (Wanted(sha256="0" * 64), Wanted(file_name="evil.exe"), Wanted(part="1.1")):
        with contextlib.suppress(CutError):
            found = parser.cutting(raw, wanted)
            assert found in (None, Cutting())
    assert_alive(parser)


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_only_ugly_is_read(parser: Parser, name: str) -> None:
    """In time, and the next message is read."""
    assert read(parser, HARMLESS[name]) is not None
    assert_alive(parser)


def test_a_message_that_costs_too_much_ends_the_child_and_nothing_else(parser: Parser) -> None:
    """Half a gigabyte in the child is its end: the message is unparsable, and a new child reads the next one."""
    nested = b"".join(b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (n, n) for n in range(45))
    begin = time.monotonic()
    assert parser.marks(nested + b"\n--0 " * 12_000_000) is None or time.monotonic() - begin < LIMIT_S
    assert time.monotonic() - begin < 2 * LIMIT_S
    assert_alive(parser)


def test_urls_and_attachments_are_found_at_any_depth(parser: Parser) -> None:
    """Control for the bombs: what is inside honest nesting is seen, whatever its line ends and transfer encoding."""
    inner = CAMPAIGN
    for depth in range(100, 120):
        inner = (
            b"Content-Type: multipart/mixed; boundary=d%d\n\n--d%d\n" % (depth, depth) + inner + b"\n--d%d--\n" % depth
        )
    forwarded = b"Subject: Fwd\nContent-Type: message/rfc822\n\n" + inner
    marks = parser.marks(forwarded)
    assert marks is not None
    assert url_mark("evil.example/login?u=1&x=2") in marks
    assert attachment_mark(hashlib.sha256(b"I am no PDF.").hexdigest()) in marks
    found = parser.cutting(forwarded, Wanted(sha256=ATTACHMENT))
    assert found is not None
    assert [(one.sha256, one.names) for one in found.removed] == [(ATTACHMENT, ("bill.pdf",))]


def test_an_honest_attachment_of_25_megabytes_is_no_bomb(parser: Parser) -> None:
    """What mail servers let through can be looked into and cut, within the same limits."""
    content = bytes(25 << 20)
    lines = base64.encodebytes(content).replace(b"\n", b"\r\n")
    part = b"Content-Type: application/zip; name=a.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n" + lines
    raw = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\n" + part + b"--b--\r\n"
    digest = hashlib.sha256(content).hexdigest()
    marks = parser.marks(raw)
    assert marks is not None
    assert attachment_mark(digest) in marks
    found = parser.cutting(raw, Wanted(sha256=digest))
    assert found is not None
    assert [one.size for one in found.removed] == [25 << 20]
