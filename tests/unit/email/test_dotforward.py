"""A `.forward` loses its recipients outside, and no other byte; what can't be told in it turns all of it off."""

import re

import pytest

from quell_email.domain.dotforward import judge
from quell_email.domain.forwards import TURNED_OFF

OURS = frozenset({"corp.test"})
EXACT = [
    "«x@evil.test»\n",
    "«x@evil.test,» team@corp.test\n",
    "\\ann«, x@evil.test»\n",
    "\\ann\n«x@evil.test»\n# x@evil.test when I am away\n",
    'ann,« "x@evil.test",»/var/mail/old\r\n',
    "«X Y <x@evil.test>»",
    "«\\x@evil.test»\n",
    '«"a, b" <x@evil.test>,» ann\n',
    "«x%evil.test@corp.test»\n",
    "«x@evil.test,y@evil.test»\n\n",
]  # fmt: skip


@pytest.mark.parametrize("marked", EXACT)
def test_recipients_outside_are_taken_out_and_nothing_else(marked: str) -> None:
    """What has to go stands between « and »."""
    like = judge(re.sub("[«»]", "", marked).encode(), OURS)
    assert like.disarmed == re.sub("«[^»]*»", "", marked).encode()
    assert like.outside
    assert not like.whole
    assert judge(like.disarmed, OURS).outside == ()


@pytest.mark.parametrize(
    "content",
    [b"", b"\\ann\n", b"ann@corp.test", b"# x@evil.test\n", b'"Ann <a@corp.test>"\n', b"/home/ann/mbox, bob-2\n"],
)
def test_what_sends_nothing_outside_stays(content: bytes) -> None:
    """Users and files here, our own addresses, comments."""
    assert judge(content, OURS).disarmed == content


@pytest.mark.parametrize(
    "content",
    [
        b"|/usr/bin/procmail\n",
        b'ann, "|/usr/bin/vacation ann"\n',
        b":include:/home/ann/list\n",
        b"ann%evil.test\n",
        b"evil.test!ann\n",
        b'"x@evil.test\n',
        b"# Exim filter\ndeliver x@evil.test\n",
        b'#  sieve filter\nredirect "x@evil.test";\n',
        b"ann\0\n",
        b"a" * 70_000,
    ],
)  # fmt: skip
def test_what_cant_be_told_turns_all_of_it_off(content: bytes) -> None:
    """A program or a list may send mail anywhere."""
    like = judge(content, OURS)
    assert like.disarmed == TURNED_OFF
    assert like.whole
    assert like.outside == ("",)
    assert judge(TURNED_OFF, OURS).outside == ()


def test_it_says_where_mail_goes_and_what_else_there_is() -> None:
    """Addresses without names and quotes; the recipients that stay."""
    like = judge(b'\\ann, X <x@evil.test>, "y@evil.test"\nteam@corp.test\n', OURS)
    assert like.outside == ("x@evil.test", "y@evil.test")
    assert like.inside == ("team@corp.test",)
    assert like.rules == ("\\ann", "team@corp.test")
    assert judge(b"|/bin/a\n# b\n", OURS).rules == ("|/bin/a",)
