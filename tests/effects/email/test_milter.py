"""Mail that goes through a real Postfix has its links signed on delivery; without the filter it has not."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from email import message_from_bytes

import pytest

from eventually import eventually
from postfix_lab import Postfix, mail, postfix
from quell_email.milter import mark
from quell_email.milter.filtering import Filter, Rules
from quell_email.milter.serving import serving
from quell_email.parsing.parser import Parser
from quell_runtime.addresses import Address
from quell_runtime.click_links import Opened, opened, pseudonym

KEY = b"0123456789abcdef0123456789abcdef"
BASE = "https://click.corp.test"
EVIL = "https://evil.example/login?a=1&b=2"
_LINK = re.compile(rb"https://click\.corp\.test/c/1/([A-Za-z0-9_.-]+)")


def leads(raw: bytes) -> list[Opened | None]:
    """Return what the signed links of a text lead to."""
    return [opened(KEY, token.decode()) for token in _LINK.findall(raw)]


@asynccontextmanager
async def filtered(rules: Rules, blocked: str = "") -> AsyncIterator[Postfix]:
    """Have a Postfix with our filter."""
    with closing(Parser()) as parser:
        ours = Filter(rules, lambda url: blocked if blocked and blocked in url else "", [parser])
        async with serving(ours, Address("127.0.0.1", 0)) as port, postfix(f"inet:127.0.0.1:{port}") as server:
            yield server


async def delivered(server: Postfix, raw: bytes, *users: str, count: int = 1) -> bytes:
    """Send a message, and return how it was delivered to the first user, who then has so many."""
    await server.send(raw, *(users or ("ann",)))

    async def look() -> list[bytes]:
        return server.mails(users[0] if users else "ann")

    return (await eventually(look, lambda found: len(found) == count, within=30))[-1]


def text_of(raw: bytes, subtype: str = "plain") -> bytes:
    """Return the decoded content of a part."""
    found = next(part for part in message_from_bytes(raw).walk() if part.get_content_subtype() == subtype)
    content = found.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content


RULES = Rules(BASE, KEY)


@pytest.mark.parametrize("cte", ["7bit", "quoted-printable", "base64"])
async def test_links_are_signed_at_delivery(cte: str) -> None:
    """In text and HTML; what is delivered has our mark, and reads as before but for the links."""
    html = (
        f'<p>d&eacute;j\u00e0 <a href="{EVIL.replace("&", "&amp;")}">here</a></p>'
        if cte != "7bit"
        else f'<a href="{EVIL}">x</a>'
    )
    async with filtered(RULES) as server:
        raw = await delivered(server, mail(f"go to {EVIL} now\n", html=html, cte=cte))
    assert mark.read(KEY, raw) == "done; links=2"
    for subtype in ("plain", "html"):
        assert leads(text_of(raw, subtype)) == [Opened(EVIL, b"")]
        assert EVIL.encode() not in text_of(raw, subtype)
    assert text_of(raw).startswith(b"go to https://click.corp.test/c/1/")
    assert text_of(raw).rstrip().endswith(b" now")


async def test_control_without_the_filter_nothing_is_signed() -> None:
    """The check of the test above fails, and the mark tells so."""
    async with postfix("") as server:
        raw = await delivered(server, mail(f"go to {EVIL} now\n"))
    assert EVIL.encode() in raw
    assert leads(raw) == []
    assert mark.read(KEY, raw) is None


async def test_a_dead_filter_lets_mail_through_and_its_absence_shows() -> None:
    """Postfix can't reach it, and delivers all the same: only the mark tells."""
    async with filtered(RULES) as server:
        assert mark.read(KEY, await delivered(server, mail(EVIL))) == "done; links=1"
    async with postfix("inet:127.0.0.1:9") as server:
        raw = await delivered(server, mail(EVIL))
    assert EVIL.encode() in raw
    assert mark.read(KEY, raw) is None


async def test_a_second_time_changes_nothing() -> None:
    """Links of ours stay as they are; a mark that somebody put, even one of ours for another body, is replaced."""
    async with filtered(RULES) as server:
        first = await delivered(server, mail(f"{EVIL}\n", cte="7bit"))
        again = await delivered(server, first, count=2)
        assert text_of(again) == text_of(first)
        assert mark.read(KEY, again) == "done; links=0"
        header = next(line for line in first.split(b"\r\n") if line.startswith(mark.HEADER.encode()))
        forged = await delivered(server, header + b"\r\n" + header + b"x\r\n" + mail("no link"), "bob")
    assert forged.count(mark.HEADER.encode()) == 1
    assert mark.read(KEY, forged) == "done; links=0"
    assert mark.read(KEY, forged.replace(b"no link", b"a link")) is None


async def test_only_what_has_links_changes() -> None:
    """Every other byte is delivered as it came: signed parts, attachments, broken mail."""
    signed = (
        b'MIME-Version: 1.0\r\nContent-Type: multipart/signed;\r\n\tboundary="s"; protocol="x"\r\n\r\n'
        b"--s\r\n\r\nsee https://evil.example/\r\n--s\r\nContent-Type: application/pgp-signature\r\n\r\nx\r\n--s--\r\n"
    )
    broken = b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed\r\n\r\n--x\r\n\r\nhttps://evil.example/\r\n"
    async with filtered(RULES) as server:
        kept = await delivered(server, signed)
        assert mark.read(KEY, kept) == "done; links=0; signed=1"
        assert kept.partition(b"\r\n\r\n")[2] == signed.partition(b"\r\n\r\n")[2]
        passed = await delivered(server, broken, "bob")
    assert mark.read(KEY, passed) == "unreadable"
    assert passed.partition(b"\r\n\r\n")[2] == broken.partition(b"\r\n\r\n")[2]


async def test_a_long_link_comes_whole() -> None:
    """A line that grows too long for SMTP is quoted, and the header says so."""
    url = f"https://long.example/{'a' * 1500}"
    async with filtered(RULES) as server:
        raw = await delivered(server, mail(f"go to {url[:400]} now\n", cte="7bit"))
        assert "quoted" not in str(message_from_bytes(raw)["Content-Transfer-Encoding"])
        long = await delivered(server, mail(f"go to {url[:900]} now\n", cte="7bit"), count=2)
    assert message_from_bytes(long)["Content-Transfer-Encoding"] == "quoted-printable"
    assert leads(text_of(long)) == [Opened(url[:900], b"")]
    assert mark.read(KEY, long) == "done; links=1"


async def test_a_link_tells_whose_it_is_only_if_it_is_for_one_and_wanted() -> None:
    """By a pseudonym; mail to many has links that tell nobody."""
    async with filtered(Rules(BASE, KEY, named=True)) as server:
        one = await delivered(server, mail(EVIL))
        both = await delivered(server, mail(EVIL), "bob", "ann")
    assert leads(text_of(one)) == [Opened(EVIL, pseudonym(KEY, "Ann@corp.test"))]
    assert leads(text_of(both)) == [Opened(EVIL, b"")]


async def test_a_blocked_link_holds_the_message_where_it_is_wanted() -> None:
    """It waits in the queue and no mailbox has it; the message after it, without such a link, is delivered."""
    async with filtered(Rules(BASE, KEY, hold=True), blocked="evil.example") as server:
        await server.send(mail(EVIL))
        await delivered(server, mail("https://good.example/"))
        assert len(server.held()) == 1
        assert "milter-hold" in server.log()
    async with filtered(RULES, blocked="evil.example") as server:
        await delivered(server, mail(EVIL))
        assert server.held() == []
