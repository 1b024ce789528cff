"""Who may ask for what alone, and what needs another person."""

from dataclasses import replace
from typing import Any

import pytest
from quell.remediation.v1 import email_pb2, remediation_pb2, target_pb2

from evidence_of import CLUSTER, DEVICE, FACTS, SHA256
from quell_actioncenter.domain.by_hand import Request, decide_request
from quell_actioncenter.domain.decision import acting_kind, approve_permission
from quell_actioncenter.domain.errors import (
    ActionNotUndoableError,
    ExecutorLacksKindError,
    PolicyForbidsError,
    TargetUnresolvedError,
)
from quell_actioncenter.domain.lifecycle import Event
from quell_actioncenter.domain.policy_document import Policy
from quell_actioncenter.domain.policy_yaml import default_document, read_policy
from quell_actioncenter.domain.targets import Device
from quell_runtime.kinds import kinds

DEFAULT = read_policy(default_document())
SINGLE = read_policy(default_document().replace("single_operator: false", "single_operator: true"))
EVERYTHING = frozenset(approve_permission(kind) for kind in kinds())
MESSAGES = target_pb2.MessageSelector(cluster=CLUSTER)
ACTION = "actions/00000000-0000-4000-8000-000000000000"
PARAMETERS: dict[str, dict[str, Any]] = {
    "stop_and_quarantine": {"file": target_pb2.FileSelector(sha256=SHA256)},
    "block_url": {"pattern": "evil.example"},
    "soft_delete_messages": {"messages": MESSAGES},
    "turn_off_external_forwarding": {"mailbox": "mailboxes/ann@example.org"},
    "restore_messages": {"action": ACTION},
}
READING = {name for name, kind in kinds().items() if kind.read_only}
LETTING_GO = {name for name, kind in kinds().items() if kind.release}
UNDOABLE = {name for name, kind in kinds().items() if kind.undoable}


def remediation(kind: str) -> remediation_pb2.Remediation:
    """Return a remediation of the kind, on our device if it has one."""
    made = remediation_pb2.Remediation()
    order: Any = getattr(made, kind)
    order.SetInParent()
    if kinds()[kind].plane == "device":
        order.device = DEVICE.name
    order.MergeFrom(type(order)(**PARAMETERS.get(kind, {})))
    return made


def test_the_sorts_of_kinds_are_what_the_issue_lists() -> None:
    """Three read, eight let go, eight can be undone."""
    assert (len(READING), len(LETTING_GO), len(UNDOABLE)) == (3, 8, 8)


@pytest.mark.parametrize("kind", kinds())
def test_by_hand_only_reading_and_letting_go_are_for_one(kind: str) -> None:
    """For who holds the kind's right they happen at once; release from quarantine and the rest need one other."""
    decision = decide_request(DEFAULT, Request(remediation(kind), EVERYTHING), FACTS)
    alone = kind in READING | LETTING_GO - {"release_from_quarantine"}
    assert decision.event == (Event.LET if alone else Event.ASKED)
    assert decision.votes == (0 if alone else 1)
    assert decision.permission == f"{kind}.approve"
    assert bool(decision.reasons) is not alone


@pytest.mark.parametrize("kind", kinds())
def test_what_needs_sealed_approvals_is_asked_of_people_whatever_it_is(kind: str) -> None:
    """And who asks, having sealed nothing, is not counted among them."""
    document = default_document().replace("sealed: []", f"sealed: [{kind}]").replace("default: 1", "default: 2")
    decision = decide_request(read_policy(document), Request(remediation(kind), EVERYTHING), FACTS)
    assert (decision.event, decision.votes) == (Event.ASKED, 2)
    others = [name for name in kinds() if name != kind]
    undone = decide_request(read_policy(document), Request(remediation(others[0]), EVERYTHING), FACTS)
    assert undone == decide_request(
        read_policy(default_document().replace("default: 1", "default: 2")),
        Request(remediation(others[0]), EVERYTHING),
        FACTS,
    )


@pytest.mark.parametrize("kind", kinds())
@pytest.mark.parametrize("policy", [DEFAULT, SINGLE])
def test_the_right_is_the_kinds_own(kind: str, policy: Policy) -> None:
    """Without it nothing happens at once, whatever other rights are held."""
    decision = decide_request(policy, Request(remediation(kind), EVERYTHING - {f"{kind}.approve"}), FACTS)
    assert decision.event == Event.ASKED
    assert decision.votes >= 1


@pytest.mark.parametrize("kind", kinds())
@pytest.mark.parametrize("policy", [DEFAULT, SINGLE])
def test_on_behalf_of_somebody_unproven_is_always_pending(kind: str, policy: Policy) -> None:
    """Even what reads, even with every right."""
    decision = decide_request(policy, Request(remediation(kind), EVERYTHING, proven=False), FACTS)
    assert decision.event == Event.ASKED
    assert decision.votes >= 1


@pytest.mark.parametrize("kind", sorted(UNDOABLE))
def test_undo_is_judged_as_the_inverse(kind: str) -> None:
    """The right is that of the inverse; giving a file back takes two."""
    inverse = kinds()[kind].inverse
    decision = decide_request(DEFAULT, Request(remediation(kind), frozenset({f"{inverse}.approve"}), undo=True), FACTS)
    assert decision.permission == f"{inverse}.approve"
    assert decision.event == (Event.ASKED if kind == "stop_and_quarantine" else Event.LET)
    wrong = decide_request(DEFAULT, Request(remediation(kind), frozenset({f"{kind}.approve"}), undo=True), FACTS)
    assert wrong.event == Event.ASKED
    assert acting_kind(kinds()[kind], undo=True).name == inverse


@pytest.mark.parametrize("kind", sorted(kinds().keys() - UNDOABLE))
def test_what_cannot_be_undone_has_no_other_kind(kind: str) -> None:
    """Rights are asked for before it is refused: those of the kind itself."""
    assert acting_kind(kinds()[kind], undo=True).name == kind


def test_who_asks_counts_as_one_but_is_never_alone() -> None:
    """Of three people behind an action two others are needed; of one still one."""
    for behind, votes in ((1, 1), (2, 1), (3, 2)):
        policy = read_policy(default_document().replace("  default: 1\n", f"  default: {behind}\n"))
        asked = Request(remediation("isolate_device"), EVERYTHING)
        assert decide_request(policy, asked, FACTS).votes == votes
        assert decide_request(policy, replace(asked, proven=False), FACTS).votes == behind


def test_what_is_protected_needs_more_people_and_the_way_back_does_not() -> None:
    """A protection adds people and its reason to what touches; undo, release and reads know none."""
    document = default_document().replace("protected:\n", "protected:\n  host_names: ['web-*']\n")
    policy = read_policy(document.replace("  held: 2", "  held: 3"))
    asked = decide_request(policy, Request(remediation("isolate_device"), EVERYTHING), FACTS)
    assert asked.votes == 2
    assert "web-1 is protected" in asked.reasons
    for kind in ("release_device_from_isolation", "run_antivirus_scan"):
        assert decide_request(policy, Request(remediation(kind), EVERYTHING), FACTS).event == Event.LET
    undo = Request(remediation("isolate_device"), EVERYTHING, undo=True)
    assert decide_request(policy, undo, FACTS).event == Event.LET


@pytest.mark.parametrize("kind", kinds())
def test_an_exclusion_forbids_all_but_the_way_back(kind: str) -> None:
    """The error names it."""
    things = "{host_names: ['*'], mailboxes: ['*'], url_hosts: ['*'], hashes: ['*']}"
    policy = read_policy(default_document().replace("exclusions: []", f"exclusions: [{{name: all, things: {things}}}]"))
    order = remediation(kind)
    if kinds()[kind].target_field == "messages":
        getattr(order, kind).messages.cluster.mailboxes.append("mailboxes/ann@example.org")
    asked = Request(order, EVERYTHING)
    if kind in READING | LETTING_GO:
        decide_request(policy, asked, FACTS)
        return
    with pytest.raises(PolicyForbidsError) as refusal:
        decide_request(policy, asked, FACTS)
    assert refusal.value.metadata == {"rule": "all"}
    if kind in UNDOABLE:
        decide_request(policy, replace(asked, undo=True), FACTS)


def test_a_stranger_is_no_target() -> None:
    """A device that is not enrolled."""
    order = remediation("isolate_device")
    order.isolate_device.device = "devices/" + "c" * 26
    with pytest.raises(TargetUnresolvedError):
        decide_request(DEFAULT, Request(order, EVERYTHING), FACTS)
    with pytest.raises(ActionNotUndoableError):
        decide_request(DEFAULT, Request(order, EVERYTHING, undo=True), FACTS)


@pytest.mark.parametrize("kind", ["isolate_device", "block_url"])
def test_what_nobody_offers_is_refused_but_its_undo_is_not(kind: str) -> None:
    """What was done can be asked back even if the kind is no longer offered."""
    facts = replace(FACTS, devices={DEVICE.name: Device(DEVICE.name)}, kinds={})
    with pytest.raises(ExecutorLacksKindError):
        decide_request(DEFAULT, Request(remediation(kind), EVERYTHING), facts)
    assert decide_request(DEFAULT, Request(remediation(kind), EVERYTHING, undo=True), facts).event == Event.LET


def test_a_host_of_any_case_is_protected() -> None:
    """Patterns of URL hosts are compared with the host in lower case, without port, user and trailing dot."""
    document = default_document().replace("protected:\n", "protected:\n  url_hosts: ['good.example']\n")
    for pattern in ("GOOD.example", "https://good.example:8443/x", "*.good.example", "http://a@Good.Example./"):
        order = remediation_pb2.Remediation(block_url=email_pb2.BlockUrl(pattern=pattern))
        decision = decide_request(read_policy(document), Request(order, EVERYTHING), FACTS)
        assert "good.example is protected" in decision.reasons
