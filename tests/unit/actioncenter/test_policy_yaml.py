"""A policy document is read whole or not at all, and every mistake is named by line and key."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quell_actioncenter.domain.errors import PolicyInvalidError
from quell_actioncenter.domain.policy_yaml import default_document, read_policy
from quell_runtime.kinds import kinds

DOCUMENT = """\
verdicts:
  device: {malicious: automatic, suspicious: approval}
  email: {malicious: approval, suspicious: approval}
playbook:
  - name: stop
    evidence: [file]
    remediation: stop_and_quarantine
times:
  decision: {default: 7d}
  target: {default: 12h, kinds: {isolate_device: 15m}}
  undo: {default: 30d}
budgets:
  - name: few
    kinds: [stop_and_quarantine]
    window: 10m
    limit: 3
"""


def mistakes(document: str) -> tuple[str, ...]:
    """Return what is wrong with a document."""
    with pytest.raises(PolicyInvalidError) as refusal:
        read_policy(document)
    assert refusal.value.reason == "POLICY_INVALID"
    assert all(mistake in refusal.value.message for mistake in refusal.value.mistakes)
    return refusal.value.mistakes


def test_a_document_says_what_is_in_force() -> None:
    """Times by kind, numbers, and what is left out is empty or off."""
    policy = read_policy(DOCUMENT)
    assert policy.times.target.of("isolate_device").total_seconds() == 900
    assert policy.times.target.of("block_url").total_seconds() == 12 * 3600
    assert policy.budgets[0].limit == 3
    assert policy.approvals.default == 1
    assert not policy.exclusions


def test_the_default_document_is_the_promised_one() -> None:
    """Times and switches of the semantics; nothing that would take away the second person."""
    policy = read_policy(default_document())
    assert policy.times.decision.default.days == policy.times.target.default.days == 7
    assert policy.times.undo.default.days == 30
    assert not policy.single_operator
    assert not policy.trust_host_names
    assert {name for budget in policy.budgets for name in budget.kinds} <= kinds().keys()


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("limit: 3", "limit: 3\nextra: 1", "line 17: extra: there is no such key"),
        ("name: few", "name: few\n    often: 1", "line 14: budgets[0].often: there is no such key"),
        ("malicious: automatic,", "malicious: always,", "line 2: verdicts.device.malicious: Input should be"),
        ("malicious: automatic, ", "", "line 2: verdicts.device.malicious: it is missing"),
        ("limit: 3", "limit: '3'", "line 16: budgets[0].limit: Input should be a valid integer"),
        ("limit: 3", "limit: true", "line 16: budgets[0].limit: Input should be a valid integer"),
        ("limit: 3", "limit: -1", "line 16: budgets[0].limit: Input should be greater"),
        ("window: 10m", "window: 10", "line 15: budgets[0].window: a duration is a number and a unit"),
        ("window: 10m", "window: 0m", "line 15: budgets[0].window: a duration"),
        ("window: 10m", "window: 10 m", "line 15: budgets[0].window: a duration"),
        ("kinds: [stop_and", "kinds: [stop_or", "line 14: budgets[0].kinds[0]: there is no kind stop_or_quarantine"),
        ("{isolate_device: 15m}", "{isolate: 15m}", "line 10: times.target.kinds"),
        ("evidence: [file]", "evidence: [registry]", "line 6: playbook[0].evidence[0]: no remediation is known"),
        ("evidence: [file]", "evidence: [url]", "line 5: playbook[0]: stop_and_quarantine can't follow from url"),
        ("name: stop", "name: Stop it", "line 5: playbook[0].name"),
        ("name: few", "name: few\n    name: many", "line 14: name: the key stands twice"),
        ("limit: 3", "limit: 2026-01-01", "line 16: 2026-01-01 can't be read"),
        ("limit: 3", "limit: !!python/name:os.system x", "can't be read"),
        ("limit: 3", "limit: &a 3\nmax_items: *a", "aliases"),
        ("limit: 3", "limit: [", "line 17"),
        ("limit: 3", "limit: " + "[" * 500 + "]" * 500, "depth"),
        ("times:", "? [a]\n: b\ntimes:", "the key stands twice, or is none"),
        ("times:", "<<: {single_operator: true}\ntimes:", "<< can't be read"),
    ],
)
def test_a_mistake_is_named_by_line_and_key(old: str, new: str, mistake: str) -> None:
    """Unknown keys, wrong types, unknown kinds, and what YAML would let pass."""
    assert old in DOCUMENT
    (named,) = mistakes(DOCUMENT.replace(old, new, 1))
    assert named.startswith("line ")
    assert mistake in named


@pytest.mark.parametrize(
    ("remediation", "parameters", "mistake"),
    [
        ("stop_and_quarantine", "{search_folders: [tmp]}", "search_folders: does not have prefix"),
        ("stop_and_quarantine", "{folders: [/tmp]}", "no field named"),
        ("stop_and_quarantine", "{device: devices/x}", "device comes from the evidence"),
        ("stop_and_quarantine", "{file: {path: /x}}", "file comes from the evidence"),
        ("isolate_device", "{}", "mode"),
        ("isolate_device", "{mode: ISOLATION_MODE_SELECTIVE}", "exclusions"),
        ("run_antivirus_scan", "{}", "exactly one field is required in oneof"),
    ],
)
def test_parameters_are_those_of_the_contract(remediation: str, parameters: str, mistake: str) -> None:
    """Unknown ones, ones that the contract refuses, ones that are missing, and the target."""
    document = DOCUMENT.replace("stop_and_quarantine\ntimes", f"{remediation}\n    parameters: {parameters}\ntimes")
    (named,) = mistakes(document)
    assert named.startswith("line 5: playbook[0]: ")
    assert mistake in named


def test_good_parameters_are_kept() -> None:
    """They go into every remediation that the rule asks for."""
    scan = "run_antivirus_scan\n    parameters: {quick: {}, cpu_percent: 20}"
    rule = read_policy(DOCUMENT.replace("stop_and_quarantine\ntimes", f"{scan}\ntimes")).playbook[0]
    assert rule.form.run_antivirus_scan.WhichOneof("scope") == "quick"
    assert rule.form.run_antivirus_scan.cpu_percent == 20


def test_a_time_of_its_own_end_needs_a_kind_that_can_be_taken_back() -> None:
    """A scan has nothing to take back."""
    scan = "run_antivirus_scan\n    parameters: {quick: {}}\n    revert_after: 1h"
    (named,) = mistakes(DOCUMENT.replace("stop_and_quarantine\ntimes", f"{scan}\ntimes"))
    assert "run_antivirus_scan can't be taken back" in named


def test_names_are_used_once() -> None:
    """Rules, groups, budgets and exclusions are told by their names."""
    (named,) = mistakes(DOCUMENT + "  - {name: few, kinds: [block_url], window: 1h, limit: 1}\n")
    assert "few: the name is used twice" in named


def test_all_mistakes_are_told_at_once_in_order() -> None:
    """Nobody has to run it five times."""
    document = DOCUMENT.replace("automatic", "always").replace("10m", "ten").replace("[file]", "[files]") + "x: 1\n"
    lines = [mistake.split(":")[0] for mistake in mistakes(document)]
    assert lines == ["line 2", "line 6", "line 15", "line 17"]


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    """No text, alone or below a good document, ends in anything but a policy or named mistakes."""
    for document in (text, DOCUMENT + text):
        with contextlib.suppress(PolicyInvalidError):
            read_policy(document)
