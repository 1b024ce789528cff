"""Links are found as mail programs find them, and made anew without touching a byte besides."""

import binascii
import itertools
import json
import re
from collections.abc import Callable, Iterable
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell_email.domain.mime import UnparsableError
from quell_email.links import markup, plain
from quell_email.links.parts import MAX_LINKS, read_links
from quell_email.links.spots import Spot
from quell_email.links.writing import MAX_LINE, quoted, rewritten

URL = "https://evil.example/a?b=1&c=2"
NEW = "https://click.example/c/1/token"


def shown(text: str, spots: Iterable[Spot]) -> str:
    """Return the text with each link as `[URL]`."""
    found, at = "", 0
    for spot in spots:
        found += f"{text[at : spot.start]}{spot.before}[{spot.url}]{spot.after}"
        at = spot.end
    return found + text[at:]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see https://a.x/b.", "see [https://a.x/b]."),
        ("(https://a.x/b_(c)), or <ftp://d.x>", "([https://a.x/b_(c)]), or <[ftp://d.x]>"),
        ("www.a.example! a.www.b xwww.c", "[http://www.a.example]! a.www.b xwww.c"),
        ("HTTP:\\\\a.x\\b", "[HTTP:\\\\a.x\\b]"),
        ("https://a.x/\u3002\u6b21", "[https://a.x/]\u3002\u6b21"),
        ("mailto:a@b.x javascript:x https:// http:x", "mailto:a@b.x javascript:x https:// http:x"),
    ],
)
def test_addresses_in_plain_text(text: str, expected: str) -> None:
    """What a mail program would make a link is one; what follows it in a sentence is not."""
    assert shown(text, plain.spots(text)) == expected


def test_an_address_over_flowed_lines_is_one() -> None:
    """Only where the lines are joined without a space (RFC 3676, 4.2)."""
    text = "https://a.x/bb \r\ncc \r\n> dd"
    assert shown(text, plain.spots(text, unbroken=True)) == "[https://a.x/bbcc] \r\n> dd"
    assert shown(text, plain.spots(text)) == "[https://a.x/bb] \r\ncc \r\n> dd"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '<a href="https://a.x/?b&amp;c=1&copy=2">https://a.x</a>',
            '<a href="[https://a.x/?b&c=1&copy=2]">https://a.x</a>',
        ),
        ("<A\nHREF = 'ht\ntps://a.x'>b", '<A\nHREF = "[https://a.x]">b'),
        ("<a/href=https://a.x/>", '<a/href="[https://a.x/]">'),
        ('<a href="&#104;ttps://a.x">', '<a href="[https://a.x]">'),
        ('<a href=" \x01https://a.x ">', '<a href="[https://a.x]">'),
        ('<a href="//a.x/b">', '<a href="[https://a.x/b]">'),
        ('<base href="https://a.x/b/"><a href="c">', '<base href="https://a.x/b/"><a href="[https://a.x/b/c]">'),
        (
            "<!--[if mso]><v:rect href='https://a.x'><![endif]-->",
            '<!--[if mso]><v:rect href="[https://a.x]"><![endif]-->',
        ),
        ("<p>https://a.x/?b&amp;c.</p>", '<p><a href="[https://a.x/?b&c]">https://a.x/?b&amp;c</a>.</p>'),
        ("&quot;https://a.x&quot;", '&quot;<a href="[https://a.x]">https://a.x</a>&quot;'),
        ("<style>a{b:url(https://a.x)}</style>", "<style>a{b:url(https://a.x)}</style>"),
        ('<!DOCTYPE x "https://a.x"><!-- https://a.x -->', '<!DOCTYPE x "https://a.x"><!-- https://a.x -->'),
        ('<img src="https://a.x"><link href="https://a.x">', '<img src="https://a.x"><link href="https://a.x">'),
        ('<a href="mailto:a@b.x">https://a.x</a>', '<a href="mailto:a@b.x">https://a.x</a>'),
        ('<a href="#a"><a href="b"><a href="cid:c">', '<a href="#a"><a href="b"><a href="cid:c">'),
        ('<a href="javascript:alert(1)"><a href>', '<a href="javascript:alert(1)"><a href>'),
        ('<a href="https://a.x', '<a href="https://a.x'),
    ],
)
def test_links_in_html(text: str, expected: str) -> None:
    """As browsers read tags; an address in the text is made a link by us before anybody else does."""
    assert shown(text, markup.spots(text)) == expected


@given(st.text(alphabet="<>a!-/=\"' hrefhttps:&;#x.\n", max_size=300))
def test_spots_are_in_order_and_apart(text: str) -> None:
    """Whatever is no HTML."""
    for spots in (list(markup.spots(text)), list(plain.spots(text))):
        places = [place for spot in spots for place in (spot.start, spot.end)]
        assert places == sorted(places)
        assert all(spot.start < spot.end for spot in spots)


def changed(raw: bytes, link: Callable[[str], str | None] = lambda _: NEW) -> tuple[bytes, int, str]:
    """Return a message with its links made anew, through JSON as from the child."""
    told = json.loads(json.dumps(read_links(raw)))
    found = rewritten(raw, told["parts"], [link(url) for url in told["urls"]])
    return found.raw, found.links, found.encoding


def message(content: str, *, charset: str = "utf-8", cte: str = "8bit", subtype: str = "plain") -> bytes:
    """Return a message of one part, with line ends as they are on the wire."""
    made = EmailMessage(policy=policy.SMTP)
    made["Subject"] = "x"
    made.set_content(content, charset=charset, cte=cte, subtype=subtype)
    return made.as_bytes()


@pytest.mark.parametrize(
    ("cte", "charset"),
    [
        *itertools.product(["8bit", "quoted-printable", "base64"], ["utf-8", "iso-8859-1", "utf-7"]),
        # It has no lines that 8bit could keep.
        *itertools.product(["quoted-printable", "base64"], ["utf-16", "utf-16-le"]),
    ],
)
@pytest.mark.parametrize("subtype", ["plain", "html"])
def test_every_charset_and_encoding_keeps_its_text(cte: str, charset: str, subtype: str) -> None:
    """After the change it reads as before, but for the link."""
    text = f'd\u00e9j\u00e0 <a href="{URL}">vu</a>  \r\n' if subtype == "html" else f"d\u00e9j\u00e0 {URL} vu  \r\n"
    made = message("placeholder", subtype=subtype)
    header = re.sub(rb"charset=\S+", b"charset=" + charset.encode(), made.partition(b"\r\n\r\n")[0])
    header = re.sub(rb"Encoding: \S+", b"Encoding: " + cte.encode(), header)
    content = text.encode(charset)
    body = {"8bit": content, "quoted-printable": quoted(content), "base64": binascii.b2a_base64(content)}[cte]
    raw, count, encoding = changed(header + b"\r\n\r\n" + body)
    assert (count, encoding) == (1, "")
    assert raw.partition(b"\r\n\r\n")[0] == header
    part = message_from_bytes(raw).get_payload(decode=True)
    assert isinstance(part, bytes)
    assert part.decode(charset) == text.replace(URL, NEW)


def test_other_parts_keep_every_byte() -> None:
    """Attachments, images, signed parts, preamble and epilogue; and a part without a link is no part with a change."""
    made = EmailMessage(policy=policy.SMTP)
    made.set_content(f"see {URL}", cte="quoted-printable")
    made.add_alternative(f'<a href="{URL}">x</a>', subtype="html", cte="base64")
    made.add_attachment(f"keep {URL}".encode(), maintype="text", subtype="plain", filename="a.txt", cte="8bit")
    made.add_attachment(b"\0\1", maintype="image", subtype="png", cid="<x>")
    before = made.as_bytes()
    after, count, _ = changed(before)
    assert count == 2
    old, new = message_from_bytes(before), message_from_bytes(after)
    for one, other in zip(old.walk(), new.walk(), strict=True):
        assert one.items() == other.items()
        if one.get_content_maintype() == "image" or one.get_filename():
            assert one.get_payload() == other.get_payload()
    assert f"keep {URL}".encode() in after
    assert changed(before, lambda _: None) == (before, 0, "")
    again, _, _ = changed(after)
    assert again == after


SIGNED = (
    b'Content-Type: multipart/mixed; boundary="m"\r\n\r\n--m\r\n'
    b'Content-Type: multipart/signed; boundary="s"\r\n\r\n--s\r\n\r\nhttps://in.example/\r\n'
    b"--s\r\nContent-Type: application/pgp-signature\r\n\r\nx\r\n--s--\r\n"
    b"--m\r\n\r\nfooter https://out.example/\r\n--m--\r\n"
)
INLINE = b"\r\n-----BEGIN PGP SIGNED MESSAGE-----\r\nhttps://in.example/\r\n-----END PGP SIGNATURE-----\r\n"


def test_what_is_signed_is_left_alone_and_told() -> None:
    """And the footer that a list put beside it is not."""
    after, count, _ = changed(SIGNED)
    assert (after, count) == (SIGNED.replace(b"https://out.example/", NEW.encode()), 1)
    told = read_links(SIGNED)
    assert (told["left"], told["urls"]) == ({"signed": 1}, ["https://in.example/", "https://out.example/"])
    assert changed(INLINE) == (INLINE, 0, "")
    assert changed(INLINE.replace(b"END PGP", b"END PG"))[1] == 1


def test_lines_that_become_too_long_are_quoted() -> None:
    """No server may cut them; the part says so, or for a body that is one part the header is told."""
    link = f"https://click.example/{'a' * MAX_LINE}"
    single = b"Subject: x\r\n\r\nsee https://a.example/ = here\r\n"
    raw, count, encoding = changed(single, lambda _: link)
    assert (count, encoding) == (1, "quoted-printable")
    assert binascii.a2b_qp(raw.partition(b"\r\n\r\n")[2]) == f"see {link} = here\r\n".encode()
    nested = b'Content-Type: multipart/mixed; boundary="m"\r\n\r\n--m\r\nX: y\r\n' + single + b"--m--\r\n"
    raw, _, encoding = changed(nested, lambda _: link)
    assert encoding == ""
    _, part = message_from_bytes(raw).walk()
    assert part["Content-Transfer-Encoding"] == "quoted-printable"
    assert part.get_payload(decode=True) == f"see {link} = here".encode()
    assert max(map(len, raw.split(b"\r\n"))) <= 76


@given(st.binary(max_size=400))
def test_quoted_printable_comes_back(content: bytes) -> None:
    """Every byte, and no line is too long."""
    coded = quoted(content)
    assert binascii.a2b_qp(coded) == content
    assert all(len(line) <= 77 for line in coded.split(b"\n"))


def test_too_many_links_are_unparsable() -> None:
    """Never taken for clean."""
    many = b"\r\n".join(b"https://h%d.example/" % number for number in range(MAX_LINKS + 1))
    with pytest.raises(UnparsableError):
        read_links(b"\r\n" + many)


HREF = b'<a href="https://a.example/">'
FRAGMENTS = [
    b"Content-Type: multipart/mixed; boundary=b\r\n",
    b"Content-Type: text/html; charset=utf-16\r\n",
    b"Content-Type: text/plain; format=flowed; delsp=yes\r\n",
    b"Content-Type: message/rfc822\r\n",
    b"Content-Transfer-Encoding: base64\r\n",
    b"Content-Transfer-Encoding: quoted-printable\r\n",
    HREF,
    b"<base href='https://e.x/'>",
    b"https://b.example/x ",
    b"www.d.example \r\n",
    b"aHR0cHM6Ly9jLmV4YW1wbGUv",
    *(b"--b\r\n", b"--b--\r\n", b"Subject: x\r\n", b"\r\n", b"\n", b"\0", b"=\r\n", b"=3D", b"\xe9"),
    *(b"<!--", b"-->", b"&#1;"),
]


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=30))
def test_hostile_mail_is_changed_in_its_links_or_not_at_all(fragments: list[bytes]) -> None:
    """With no new link it is the same; with new ones nothing is found afterwards but them, and what was left alone."""
    raw = b"".join(fragments)
    try:
        told = read_links(raw)
    except (UnparsableError, ValueError, LookupError):
        return
    assert rewritten(raw, told["parts"], [None] * len(told["urls"])).raw == raw
    after = rewritten(raw, told["parts"], [NEW] * len(told["urls"]))
    if not told["left"] and not after.encoding and after.links:
        assert NEW in read_links(after.raw)["urls"]


@pytest.mark.parametrize(("body", "left"), [(HREF, {"misnamed": 1}), (HREF.decode().encode("utf-16"), {})])
def test_a_part_that_is_not_in_the_wide_charset_that_it_names_is_left_alone(body: bytes, left: dict[str, int]) -> None:
    """Its links are told all the same. Control: one that is in it is made anew."""
    told = read_links(b"Content-Type: text/html; charset=utf-16\r\n\r\n" + body)
    assert (told["urls"], told["left"], bool(told["parts"])) == (["https://a.example/"], left, not left)
