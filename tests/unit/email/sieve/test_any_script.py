"""Whatever script it is: without its external forwards it does what it did, by Pigeonhole's word, and loses no mail."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quell_email.domain.forwards import TURNED_OFF
from quell_email.sieve.disarming import judge, stand_in
from sieve_judge import Actions, SieveJudge
from sieve_scripts import scripts

OURS = frozenset({"corp.test"})
MANY = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def outside(addresses: frozenset[str]) -> set[str]:
    """Return those that are not ours."""
    return {address for address in addresses if address.lower().rpartition("@")[2] != "corp.test"}


def disarmed(script: bytes) -> bytes:
    """Return what is to stand instead of the only script of a mailbox."""
    return judge(script, OURS, instead=stand_in([script])).disarmed


def assert_only_external_forwards_are_gone(before: Actions, after: Actions, *, loses: bool) -> None:
    """Hold what a script does against what it did."""
    assert not outside(after.redirects | after.told)
    assert after.redirects == before.redirects - outside(before.redirects)
    assert after.told == before.told - outside(before.told)
    moved_outside = outside(before.cancelling & before.redirects)
    if moved_outside and (loses or before.cancelling <= moved_outside):
        assert after.folders == before.folders | {"INBOX"}
    else:
        assert after.folders == before.folders


def check(judge_: SieveJudge, script: bytes, change: Callable[[bytes], bytes]) -> None:
    """Run a script and what a change makes of it; one that fails as it runs is no case."""
    before = judge_.actions(script)
    if before.failed:
        return
    changed = change(script)
    after = judge_.actions(changed)
    if changed == TURNED_OFF:
        assert b"set" in script, "only variables are unclear here"
        assert after == Actions(folders=frozenset({"INBOX"}))
    else:
        assert_only_external_forwards_are_gone(before, after, loses=bool(stand_in([script])))


@MANY
@given(script=scripts())
def test_only_external_forwards_are_gone(judge_: SieveJudge, script: bytes) -> None:
    """Same redirects, notices and folders but those; mail that went only outside is in the inbox."""
    check(judge_, script, disarmed)


@MANY
@given(script=scripts())
def test_nothing_is_written_and_nothing_is_taken_twice(script: bytes) -> None:
    """What is left stands in the script in the same order, but for the word that keeps; a second time none goes."""
    left = disarmed(script)
    if left != TURNED_OFF:
        rest = iter(script)
        assert all(byte in rest for byte in judge(script, OURS, instead=b"").disarmed)
    assert disarmed(left) == left


@given(
    script=st.binary(max_size=300)
    | st.text('redirect "x@evil.test";{}()[],#/*text:\n.\\', max_size=300).map(str.encode)
)
def test_bytes_of_any_kind_are_judged(script: bytes) -> None:
    """Nothing breaks the reader; what it can't read it either leaves alone or turns off."""
    assert disarmed(script) in (script, TURNED_OFF) or judge(script, OURS, instead=b"").outside


def test_control_a_change_that_changes_nothing_is_seen(judge_: SieveJudge) -> None:
    """The check fails for a script that still forwards outside, and for one that loses what the forward kept."""
    for script, change in (
        (b'redirect "x@evil.test";', bytes),
        (b'redirect "x@evil.test"; discard;', lambda script: judge(script, OURS, instead=b"").disarmed),
        (b'redirect "x@evil.test"; redirect "a@corp.test";', lambda _: b"keep;"),
    ):
        with pytest.raises(AssertionError):
            check(judge_, script, change)
        check(judge_, script, disarmed)
