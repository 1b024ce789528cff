"""An attachment is taken out of the raw bytes exactly, and every reader sees all else as before; or it is refused."""

import email
import hashlib
from email.message import Message
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from hostile_mime import Mail, broken, messages
from mail_tree import ATTACHMENT, CAMPAIGN
from quell_email.domain.attachments import CutError, Wanted, plain_name
from quell_email.domain.cutting import Cutting, cutting
from quell_email.domain.headers import UnreadableError
from quell_email.domain.mime import parts
from quell_email.domain.signatures import Signature
from quell_email.domain.splice import inverse, replaced, restored

EVIL = b"This program cannot be run in DOS mode."
DIGEST = hashlib.sha256(EVIL).hexdigest()
SLOW = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example]
)
CONTENT_HEADERS = {"content-type", "content-transfer-encoding", "content-disposition", "content-md5", "content-length"}


def mail(part: bytes, *, top: bytes = b"Content-Type: multipart/mixed; boundary=b", after: bytes = b"--b--\n") -> bytes:
    """Return a message with a text and one more part."""
    return b"Subject: x\n" + top + b"\n\n--b\n\ntext\n--b\n" + part + b"\n" + after


def evil(header: bytes = b"Content-Type: application/x-dosexec; name=evil.exe\n") -> bytes:
    """Return a part that is to go."""
    return header + b"\n" + EVIL


def read_by_another(raw: bytes) -> dict[str, tuple[list[tuple[str, str]], str]]:
    """Return headers and body of each leaf by its number, as Python's own reader of mail sees them."""
    found = {}

    def read(entity: Any, number: str, *, message: bool) -> None:  # noqa: ANN401 - its stubs are vague
        items = [(name.lower(), str(value)) for name, value in entity.items()]
        payload = entity.get_payload()
        below = f"{number}." if number else ""
        if entity.get_content_maintype() == "multipart" and isinstance(payload, list):
            found[f"{number}:"] = (items, f"{entity.preamble!r} {entity.epilogue!r}")
            for index, child in enumerate(payload, start=1):
                read(child, f"{below}{index}", message=False)
            return
        number = f"{below}1" if message else number
        if isinstance(payload, list):
            found[number] = (items, "a message")
            read(payload[0], number, message=True)
        else:
            found[number] = (items, payload)

    read(email.message_from_bytes(raw), "", message=True)
    return found


def assert_only_these_changed(raw: bytes, found: Cutting) -> None:
    """Hold what another reader sees before and after against each other."""
    gone = [one.part for one in found.removed]
    before = read_by_another(raw)
    after = read_by_another(replaced(raw, found.pieces))
    for seen in (before, after):
        for number in list(seen):
            if any(number.startswith((f"{part}.", f"{part}:")) for part in gone):
                del seen[number]
    top = next(iter(after))
    assert [name for name, _ in after[top][0]].count("x-quell") == 1 + sum(n == "x-quell" for n, _ in before[top][0])
    after[top][0].remove(next(item for item in after[top][0] if item[0] == "x-quell"))
    for part in gone:
        assert after[part][0] != before[part][0]
        assert [item for item in after.pop(part)[0] if item[0] not in CONTENT_HEADERS] == [
            item for item in before.pop(part)[0] if item[0] not in CONTENT_HEADERS
        ]
    assert after == before


def cut(raw: bytes, wanted: Wanted) -> Cutting:
    """Cut, and see that it leads back and changes nothing else."""
    found = cutting(raw, wanted)
    new = replaced(raw, found.pieces)
    assert restored(new, inverse(raw, found.pieces), hashlib.sha256(raw).hexdigest()) == raw
    if found.removed:
        assert_only_these_changed(raw, found)
        assert not cutting(new, wanted).removed or wanted.part
        assert wanted.sha256 not in {_digest(part.content) for part in parts(new)}
    return found


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@SLOW
@given(messages(), st.data())
def test_each_leaf_of_ugly_mail_can_be_cut(mail: Mail, data: st.DataObject) -> None:
    """By its number, its content and its name: only what is meant goes, and the inverse brings it back."""
    leaf = data.draw(st.sampled_from(mail.leaves))
    by_number = cut(mail.raw, Wanted(part=leaf.number))
    assert [(one.part, one.sha256) for one in by_number.removed] == [(leaf.number, _digest(leaf.content))]
    by_content = cut(mail.raw, Wanted(sha256=_digest(leaf.content)))
    assert leaf.number in [one.part for one in by_content.removed] or _inside(leaf.number, by_content)
    for name in leaf.names:
        assert leaf.number in [one.part for one in cut(mail.raw, Wanted(file_name=name)).removed]


def _inside(number: str, found: Cutting) -> bool:
    return any(number.startswith(f"{one.part}.") for one in found.removed)


@SLOW
@given(broken(), st.data())
def test_what_is_broken_is_cut_exactly_or_refused(raw: bytes, data: st.DataObject) -> None:
    """Another reader sees all else as before, too; or nothing is done."""
    try:
        leaves = [part.number for part in parts(raw)]
    except UnreadableError:
        assume(False)  # noqa: FBT003 - Hypothesis's way
    assume(leaves)
    try:
        cut(raw, Wanted(part=data.draw(st.sampled_from(leaves))))
        event("cut")
    except CutError as refusal:
        event(refusal.reason)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("wanted", [Wanted(sha256=DIGEST), Wanted(file_name="evil.exe"), Wanted(part="2")])
def test_a_notice_takes_its_place(end: bytes, wanted: Wanted) -> None:
    """It tells name, size and digest; headers that are true of it as well stay."""
    part = evil(b"Content-ID: <x@y>\nContent-Type: application/x-dosexec; name=evil.exe\nContent-MD5: abcd\nX-Own: z\n")
    raw = mail(part).replace(b"\n", end)
    found = cut(raw, wanted)
    after = email.message_from_bytes(replaced(raw, found.pieces))
    notice = after.get_payload(1)
    assert isinstance(notice, Message)
    assert (notice.get_content_type(), notice.get_content_disposition()) == ("text/plain", "inline")
    assert (notice["Content-ID"], notice["X-Own"], notice["Content-MD5"]) == ("<x@y>", "z", None)
    text = notice.get_payload(decode=True)
    assert isinstance(text, bytes)
    assert "evil.exe" in text.decode()
    assert f"{len(EVIL)} bytes, SHA-256 {DIGEST}" in text.decode()
    assert after["X-Quell"].split() == [
        "attachment",
        "removed;",
        f"message={_digest(raw)};",
        "part=2;",
        f"sha256={DIGEST}",
    ]
    assert replaced(raw, found.pieces).count(b"\n") == replaced(raw, found.pieces).count(end)


def test_control_what_is_not_meant_is_not_there() -> None:
    """Another digest, name or number: nothing to cut, and no reason to refuse."""
    raw = mail(evil())
    for wanted in (Wanted(sha256="0" * 64), Wanted(file_name="vile.exe"), Wanted(part="3"), Wanted(part="2.1")):
        assert cut(raw, wanted) == Cutting()


def test_all_of_that_content_or_name_go_with_one_header() -> None:
    """Twice attached, twice cut; a message within goes as a whole, with what is in it."""
    raw = mail(evil() + b"\n--b\n" + evil(b""))
    assert [one.part for one in cut(raw, Wanted(sha256=DIGEST)).removed] == ["2", "3"]
    inner = b"Content-Type: message/rfc822; name=evil.exe\n\n" + mail(evil()).replace(b"--b", b"--i").replace(
        b"=b", b"=i"
    )
    assert [one.part for one in cut(mail(inner), Wanted(file_name="evil.exe")).removed] == ["2"]
    assert [one.part for one in cut(mail(inner), Wanted(sha256=DIGEST)).removed] == ["2.2"]


@pytest.mark.parametrize(
    "header",
    [
        b"Content-Disposition: attachment; filename*=utf-8''%e2%82%ac.exe",
        b'Content-Disposition: attachment; filename="=?utf-8?b?4oKs?=.exe"',
        b'Content-Disposition: attachment; filename="\xe2\x82\xac.exe"',
        b'Content-Disposition: attachment; filename="C:\\\\x\\\\=?utf-8?q?=E2=82=AC?=.exe "',
        b"Content-Disposition: attachment; filename=a.txt; filename*=utf-8''%E2%82%AC.exe",
        b"Content-Type: application/x; name*0*=utf-8''%e2%82;\n name*1*=%ac.exe",
        b'Content-Type: application/x; name="=?utf-8?b?4oKs?=.exe"\nContent-Disposition: attachment; filename=a.txt',
    ],
)
def test_a_name_is_what_any_reader_shows(header: bytes) -> None:
    """However it is written, and if only one of two headers has it."""
    assert len(cut(mail(evil(header + b"\n")), Wanted(file_name="€.exe")).removed) == 1


def test_names_are_compared_composed() -> None:
    """What looks the same is the same."""
    assert plain_name("u\N{COMBINING DIAERESIS}.exe") == plain_name("\N{LATIN SMALL LETTER U WITH DIAERESIS}.exe")


SIGNED = b'Content-Type: multipart/signed; boundary=b; protocol="application/pgp-signature"'
ENCRYPTED = b'Content-Type: multipart/encrypted; boundary=b; protocol="application/pgp-encrypted"'
SMIME = b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\n\n" + EVIL
WRAPPED = b"Content-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable\n\nSubject: x\n\n" + EVIL


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (mail(evil(), top=SIGNED), "MESSAGE_SIGNED"),
        (mail(evil(b"Content-Type: application/pgp-signature\n")), "MESSAGE_SIGNED"),
        (mail(evil(), top=ENCRYPTED), "MESSAGE_ENCRYPTED"),
        (SMIME, "MESSAGE_ENCRYPTED"),
        (mail(SMIME), "MESSAGE_ENCRYPTED"),
        (mail(SMIME.replace(EVIL, b"?")), "MESSAGE_ENCRYPTED"),
        (b"Content-Type: message/partial; id=x; number=1; total=2\n\nbegin", "MESSAGE_PARTIAL"),
        (mail(evil(b"Content-Type: message/partial; id=x; number=1\n")), "MESSAGE_PARTIAL"),
        (mail(WRAPPED), "ATTACHMENT_WRAPPED"),
        (mail(evil(), after=b"--b--\nepilogue\n--b\n\nmore\n--b--\n"), "STRUCTURE_AMBIGUOUS"),
        (mail(b"\nlike one\n--bb\n--b\n" + evil()), "STRUCTURE_AMBIGUOUS"),
        (mail(b"\nonly for some\r--b\n--b\n" + evil()), "STRUCTURE_AMBIGUOUS"),
        (mail(evil(), top=b"Content-Type: multipart/mixed; boundary=b; boundary=c"), "STRUCTURE_AMBIGUOUS"),
        (mail(evil(), top=b"Content-Type: multipart/mixed; boundary=b (c)"), "STRUCTURE_AMBIGUOUS"),
        (mail(evil(), top=b"Content-Type: multipart/mixed; boundary=b\nContent-Type: text/x"), "STRUCTURE_AMBIGUOUS"),
        (mail(evil(), top=b"no header\nContent-Type: multipart/mixed; boundary=b"), "STRUCTURE_AMBIGUOUS"),
        (mail(evil(b"Content-Type : application/x\n")), "STRUCTURE_AMBIGUOUS"),
        (mail(evil(b"X: a\rContent-Type: application/x\n")), "STRUCTURE_AMBIGUOUS"),
        (mail(evil(b"X: \0\n")), "STRUCTURE_AMBIGUOUS"),
        (b"Content-Type: multipart/mixed; boundary=b\n\n" + EVIL, "STRUCTURE_AMBIGUOUS"),
    ],
)
def test_what_cant_be_done_exactly_is_refused(raw: bytes, reason: str) -> None:
    """With its reason, and never as if it were not there."""
    with pytest.raises(CutError) as refusal:
        cutting(raw, Wanted(sha256=DIGEST))
    assert refusal.value.reason == reason


@pytest.mark.parametrize(
    "raw",
    [
        mail(evil() + b"\n--b\nContent-Type: multipart/signed; boundary=s\n\n--s\n\nx\n--s\n\ny\n--s--"),
        mail(evil(), after=b""),
        mail(evil(), after=b"--b--"),
        mail(evil(), after=b"--b--\n--c--\nepilogue"),
        b"From x Mon Nov 23\n" + mail(evil()),
        b"Content-Type: application/x; name=evil.exe\nSubject: x\n\n" + EVIL,
        b"\n" + EVIL,
        mail(evil().rstrip(b"\n"), after=b"\n\n\n--b--\n").replace(EVIL + b"\n\n\n\n", EVIL + b"\n"),
    ],
)
def test_what_is_only_unusual_is_cut(raw: bytes) -> None:
    """A signature beside it, no last boundary, an mbox's mark, a message that is nothing else."""
    (number,) = (part.number for part in parts(raw) if EVIL in part.content)
    assert len(cut(raw, Wanted(part=number)).removed) == 1


@pytest.mark.parametrize(
    "boundary", ["QW4gYXR0YWNobWVudCB3YXMgcmVtb3ZlZCBmcm9tIHRoaXMgbWVzc2FnZSBmb3Igc2VjdXJp", "-", "--"]
)
def test_no_boundary_is_forged_by_the_notice(boundary: str) -> None:
    """Whatever boundary and name the sender chose."""
    raw = mail(evil(b'Content-Disposition: attachment; filename="\\\n\t--b\\\n .exe"\n'))
    raw = raw.replace(b"--b", b"--" + boundary.encode()).replace(b"=b", b'="' + boundary.encode() + b'"')
    assert len(cut(raw, Wanted(sha256=DIGEST)).removed) == 1


@pytest.mark.parametrize(
    ("headers", "signature"),
    [
        (b"", Signature.NONE),
        (b"DKIM-Signature: v=1; bh=x; b=y\n", Signature.BROKEN),
        (b"DKIM-Signature: v=1; l=100; b=y\n", Signature.DOUBTFUL),
        (b"DKIM-Signature: v=1;\n\tl=0; b=y\n", Signature.KEPT),
        (b"DKIM-Signature: v=1; l=0; b=y\nDKIM-Signature: v=1; bl=3; b=y\n", Signature.BROKEN),
    ],
)
def test_it_is_told_what_becomes_of_signatures(headers: bytes, signature: Signature) -> None:
    """By what they say that they cover."""
    assert cut(headers + CAMPAIGN.replace(b"\r\n", b"\n"), Wanted(sha256=ATTACHMENT)).signature == signature
    whole = headers + b"Content-Type: application/x\n\n" + EVIL
    assert cut(whole, Wanted(part="1")).signature == (Signature.BROKEN if headers else Signature.NONE)
