"""What follows from evidence by the policy, and why nothing does."""

from dataclasses import replace

import pytest
from quell.actioncenter.v1 import investigation_pb2
from quell.remediation.v1 import evidence_pb2, target_pb2

from evidence_of import CLUSTER, DEVICE, ENTITIES, FACTS, OTHER, SHA256, evidence
from quell_actioncenter.domain.lifecycle import Event
from quell_actioncenter.domain.policy import Derived, Nothing, decide_evidence
from quell_actioncenter.domain.policy_document import Policy
from quell_actioncenter.domain.policy_yaml import default_document, read_policy
from quell_actioncenter.domain.targets import Device, Facts

DEFAULT = read_policy(default_document())


def changed(old: str, new: str) -> Policy:
    """Return the default policy with a part of its document changed."""
    assert old in default_document()
    return read_policy(default_document().replace(old, new))


def derived(policy: Policy, found: evidence_pb2.Evidence, facts: Facts = FACTS) -> Derived:
    """Return the one action that follows."""
    followed = decide_evidence(policy, found, facts)
    assert not isinstance(followed, Nothing), followed.message
    (only,) = followed
    return only


def reason(policy: Policy, found: evidence_pb2.Evidence, facts: Facts = FACTS) -> str:
    """Return why nothing follows."""
    followed = decide_evidence(policy, found, facts)
    assert isinstance(followed, Nothing)
    assert followed.message.endswith(".")
    assert followed.wire.reason == followed.reason
    return investigation_pb2.NoActionReason.Name(followed.reason).removeprefix("NO_ACTION_REASON_")


PLAYBOOK = {
    "file": "stop_and_quarantine",
    "process": "stop_and_quarantine",
    "message": "soft_delete_messages",
    "cluster": "soft_delete_messages",
    "attachment": "quarantine_attachment",
    "mailbox": "turn_off_external_forwarding",
    "url": "block_url",
}
DEVICE_PLANE = {"file", "process"}


@pytest.mark.parametrize("entity", PLAYBOOK)
@pytest.mark.parametrize("verdict", ["MALICIOUS", "SUSPICIOUS"])
def test_the_default_policy_is_the_promised_table(entity: str, verdict: str) -> None:
    """Malicious on a device happens by itself, everything else waits for people; the kind is the playbook's."""
    found = derived(DEFAULT, evidence(entity, verdict))
    automatic = entity in DEVICE_PLANE and verdict == "MALICIOUS"
    assert found.remediation.WhichOneof("kind") == PLAYBOOK[entity]
    assert found.decision.event == (Event.LET if automatic else Event.ASKED)
    assert found.decision.votes == (0 if automatic else 1)
    assert bool(found.decision.reasons) is not automatic
    assert found.decision.permission == f"{PLAYBOOK[entity]}.approve"


@pytest.mark.parametrize("entity", ENTITIES)
@pytest.mark.parametrize(("verdict", "why"), [("NO_THREATS_FOUND", "NO_THREAT"), ("UNDETERMINED", "UNDETERMINED")])
def test_nothing_follows_from_what_is_not_harmful(entity: str, verdict: str, why: str) -> None:
    """Whatever it is; undetermined is told apart from no threats."""
    assert reason(DEFAULT, evidence(entity, verdict)) == why


@pytest.mark.parametrize("verdict", ["MALICIOUS", "SUSPICIOUS"])
@pytest.mark.parametrize(
    ("found", "why"),
    [
        ("other", "KIND_UNSUPPORTED"),
        ("machine", "POLICY"),
    ],
)
def test_what_has_no_remediation_by_default_says_so(found: str, why: str, verdict: str) -> None:
    """No remediation is known for it, or the playbook has none."""
    assert reason(DEFAULT, evidence(found, verdict)) == why


def test_a_mailbox_that_forwards_nowhere_is_left_alone() -> None:
    """There is nothing to turn off."""
    mailbox = evidence_pb2.MailboxEvidence(mailbox="mailboxes/ann@example.org")
    assert reason(DEFAULT, evidence("mailbox", mailbox=mailbox)) == "KIND_UNSUPPORTED"


def test_the_target_is_what_the_evidence_names() -> None:
    """Device, content and path; of a process its image; of mail its selector; nothing is added."""
    for entity in DEVICE_PLANE:
        order = derived(DEFAULT, evidence(entity)).remediation.stop_and_quarantine
        assert order.device == DEVICE.name
        assert order.file == target_pb2.FileSelector(sha256=SHA256, path="/home/ann/evil")
    assert derived(DEFAULT, evidence("cluster")).remediation.soft_delete_messages.messages.cluster == CLUSTER
    message = derived(DEFAULT, evidence("message")).remediation.soft_delete_messages.messages.messages.messages
    assert list(message) == [ENTITIES["message"]]
    assert derived(DEFAULT, evidence("url")).remediation.block_url.pattern == "https://evil.example/login"


def test_an_attachment_without_messages_is_the_cluster_of_its_carriers() -> None:
    """All messages that carry the content are meant."""
    attachment = evidence_pb2.AttachmentEvidence(sha256=SHA256)
    order = derived(DEFAULT, evidence("attachment", attachment=attachment)).remediation.quarantine_attachment
    assert order.messages.cluster == target_pb2.MessageCluster(attachment_sha256=SHA256)
    assert order.sha256 == SHA256


@pytest.mark.parametrize(
    "found",
    [
        evidence("file", file=evidence_pb2.FileEvidence()),
        evidence("file", file=evidence_pb2.FileEvidence(path="C:\\evil.exe")),
        evidence("file", file=evidence_pb2.FileEvidence(path="/")),
        evidence("process", process=evidence_pb2.ProcessEvidence(pid=7)),
        evidence("url", url=evidence_pb2.UrlEvidence(url="javascript:alert(1)")),
        evidence("url", url=evidence_pb2.UrlEvidence(url="https://github.io/")),
    ],
)
def test_a_target_that_cannot_be_acted_on_is_refused(found: evidence_pb2.Evidence) -> None:
    """It is kept with its reason, never turned into something wider."""
    assert reason(DEFAULT, found) == "TARGET_REFUSED"


def test_public_suffixes_can_be_allowed() -> None:
    """The policy has a switch for it."""
    policy = changed("refuse_public_suffixes: true", "refuse_public_suffixes: false")
    found = evidence("url", url=evidence_pb2.UrlEvidence(url="https://github.io/"))
    assert derived(policy, found).remediation.block_url.pattern == "https://github.io/"


@pytest.mark.parametrize("entity", sorted(DEVICE_PLANE))
@pytest.mark.parametrize(
    ("place", "seen_on", "waits_for"),
    [
        ({"nowhere": True}, (), "investigation"),
        ({"nowhere": True}, (DEVICE.name, OTHER.name), "investigation"),
        ({"host_name": "Unknown"}, (DEVICE.name,), "host/unknown"),
        ({"host_name": "laptop"}, (DEVICE.name,), "host/laptop"),
        ({"device": "devices/" + "c" * 26}, (DEVICE.name,), "devices/" + "c" * 26),
    ],
)
def test_a_device_is_never_guessed(
    entity: str, place: dict[str, str], seen_on: tuple[str, ...], waits_for: str
) -> None:
    """None or two in the investigation, a host name of nobody or of two, a stranger: unresolved, and read again."""
    facts = replace(FACTS, seen_on=seen_on)
    assert reason(DEFAULT, evidence(entity, **place), facts) == "TARGET_UNRESOLVED"
    followed = decide_evidence(DEFAULT, evidence(entity, **place), facts)
    assert isinstance(followed, Nothing)
    assert followed.waits_for == waits_for


def test_the_one_device_of_the_investigation_is_meant() -> None:
    """Where the evidence itself has no place."""
    found = derived(DEFAULT, evidence("file", nowhere=True), replace(FACTS, seen_on=(OTHER.name,)))
    assert found.remediation.stop_and_quarantine.device == OTHER.name
    assert (found.decision.event, found.resolved_by) == (Event.LET, "")


@pytest.mark.parametrize(
    ("found", "seen_on"),
    [
        (evidence("file", host_name="WEB-1"), ()),
        (evidence("file", nowhere=True), (f"{DEVICE.name} WEB-1",)),
    ],
)
def test_a_host_name_alone_needs_people(found: evidence_pb2.Evidence, seen_on: tuple[str, ...]) -> None:
    """The action says so, and waits unless the policy trusts names."""
    facts = replace(FACTS, seen_on=seen_on)
    doubtful = derived(DEFAULT, found, facts)
    assert doubtful.remediation.stop_and_quarantine.device == DEVICE.name
    assert (doubtful.decision.event, doubtful.resolved_by) == (Event.ASKED, "WEB-1")
    assert "WEB-1" in doubtful.decision.reasons[0]
    trusted = derived(changed("trust_host_names: false", "trust_host_names: true"), found, facts)
    assert (trusted.decision.event, trusted.resolved_by) == (Event.LET, "WEB-1")


@pytest.mark.parametrize(("entity", "waits_for"), [("file", DEVICE.name), ("url", "plane/email")])
def test_a_kind_that_nobody_offers_is_not_asked_for(entity: str, waits_for: str) -> None:
    """The evidence is kept, and read again when the kind is offered."""
    facts = replace(FACTS, devices={DEVICE.name: Device(DEVICE.name)}, kinds={})
    assert reason(DEFAULT, evidence(entity), facts) == "EXECUTOR_LACKS_KIND"
    followed = decide_evidence(DEFAULT, evidence(entity), facts)
    assert isinstance(followed, Nothing)
    assert followed.waits_for == waits_for


AUTOMATIC_MAIL = ("email: {malicious: approval", "email: {malicious: automatic")


@pytest.mark.parametrize(
    ("entity", "event"), [("message", Event.LET), ("cluster", Event.ASKED), ("url", Event.LET), ("mailbox", Event.LET)]
)
def test_what_must_be_looked_at_is_never_automatic(entity: str, event: Event) -> None:
    """A cluster waits for people even where the verdict table would let it happen."""
    assert derived(changed(*AUTOMATIC_MAIL), evidence(entity)).decision.event == event


@pytest.mark.parametrize(
    ("section", "found"),
    [
        ("paths: ['/home/*']", evidence("file")),
        (f"hashes: ['{SHA256}']", evidence("process")),
        (f"devices: ['{DEVICE.name}']", evidence("file")),
        ("host_names: ['WEB-*']", evidence("file")),
        ("mailboxes: ['Ann@*']", evidence("message")),
        ("mailboxes: ['*@example.org']", evidence("mailbox")),
        ("url_hosts: ['evil.example']", evidence("url")),
    ],
)
def test_what_is_protected_is_held_and_what_is_excluded_is_left(section: str, found: evidence_pb2.Evidence) -> None:
    """Protections turn automatic into HELD and need more people; an exclusion is named as the reason."""
    mail = default_document().replace(*AUTOMATIC_MAIL)
    lines = mail.splitlines()
    where = next(place for place, line in enumerate(lines) if line.startswith("  paths: "))
    held = derived(read_policy("\n".join([*lines[:where], f"  {section}", *lines[where + 1 :]])), found)
    assert (held.decision.event, held.decision.votes) == (Event.HELD_BACK, 2)
    assert held.decision.reasons[0].endswith("is protected")
    excluding = mail.replace("exclusions: []", f"exclusions: [{{name: ours, things: {{{section}}}}}]")
    assert reason(read_policy(excluding), found) == "POLICY"
    assert "ours" in getattr(decide_evidence(read_policy(excluding), found, FACTS), "message", "")
    other_kind = excluding.replace("name: ours", "name: ours, kinds: [isolate_device]")
    assert derived(read_policy(other_kind), found).decision.event == Event.LET


def test_what_is_pending_and_protected_needs_more_people() -> None:
    """It stays pending, tells both reasons, and needs the people of a held one."""
    policy = changed('paths: ["/bin/*"', 'paths: ["/home/*"')
    decision = derived(policy, evidence("file", "SUSPICIOUS")).decision
    assert (decision.event, decision.votes, len(decision.reasons)) == (Event.ASKED, 2, 2)


def test_a_group_of_devices_has_its_own_table() -> None:
    """The first group that the device is in counts; others keep the plane's table."""
    group = "{name: servers, host_names: ['db-*'], verdicts: {malicious: approval, suspicious: none}}"
    policy = changed("device_groups: []", f"device_groups: [{group}]")
    assert derived(policy, evidence("file", device=OTHER.name)).decision.event == Event.ASKED
    assert reason(policy, evidence("file", "SUSPICIOUS", device=OTHER.name)) == "POLICY"
    assert derived(policy, evidence("file")).decision.event == Event.LET


def test_a_group_is_named_by_tags_too() -> None:
    """The device service's tags choose the group; a device without them is not in it."""
    group = "{name: servers, tags: [server, database], verdicts: {malicious: approval, suspicious: none}}"
    policy = changed("device_groups: []", f"device_groups: [{group}]")
    tagged = replace(FACTS, devices={**FACTS.devices, DEVICE.name: replace(DEVICE, tags=frozenset({"database"}))})
    found = decide_evidence(policy, evidence("file"), tagged)
    assert not isinstance(found, Nothing)
    assert [one.decision.event for one in found] == [Event.ASKED]
    assert derived(policy, evidence("file")).decision.event == Event.LET


ISOLATE = """playbook:
  - name: isolate-too
    evidence: [file]
    verdicts: [malicious]
    least_confidence: 0.9
    remediation: isolate_device
    parameters: {mode: ISOLATION_MODE_FULL}
    decision: approval
    revert_after: 4h
"""


def test_every_rule_that_fits_counts() -> None:
    """A second rule brings a second action with its own parameters, decision and end."""
    policy = changed("playbook:\n", ISOLATE)
    both = decide_evidence(policy, evidence("file", confidence=0.95), FACTS)
    assert not isinstance(both, Nothing)
    isolation, quarantine = both
    assert isolation.remediation.isolate_device.device == DEVICE.name
    assert isolation.remediation.isolate_device.mode == 1
    assert (isolation.decision.event, isolation.decision.rule) == (Event.ASKED, "isolate-too")
    assert isolation.revert_after is not None
    assert isolation.revert_after.total_seconds() == 4 * 3600
    assert quarantine.decision.event == Event.LET


@pytest.mark.parametrize("found", [evidence("file", confidence=0.8), evidence("file", "SUSPICIOUS")])
def test_a_rule_counts_only_where_it_fits(found: evidence_pb2.Evidence) -> None:
    """Less confidence or another verdict is left to the other rules."""
    assert derived(changed("playbook:\n", ISOLATE), found).remediation.WhichOneof("kind") == "stop_and_quarantine"


def test_one_rule_that_cannot_be_served_does_not_hinder_the_other() -> None:
    """What is offered follows."""
    facts = replace(FACTS, devices={DEVICE.name: Device(DEVICE.name, (), frozenset({"stop_and_quarantine"}))})
    found = derived(changed("playbook:\n", ISOLATE), evidence("file"), facts)
    assert found.remediation.WhichOneof("kind") == "stop_and_quarantine"


def test_a_single_operator_is_enough() -> None:
    """With the switch on, no action needs more than one person."""
    policy = changed("single_operator: false", "single_operator: true")
    assert derived(policy, evidence("cluster")).decision.held_votes == 1


def test_what_needs_sealed_approvals_is_never_automatic() -> None:
    """Whatever the verdict; and it says why."""
    policy = changed("sealed: []", "sealed: [stop_and_quarantine]")
    found = derived(policy, evidence("file", "MALICIOUS"))
    assert found.decision.event == Event.ASKED
    assert "own keys" in found.decision.reasons[-1]
    assert derived(DEFAULT, evidence("file", "MALICIOUS")).decision.event == Event.LET
