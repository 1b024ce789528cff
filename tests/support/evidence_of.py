"""Evidence of every sort, and what is known of its targets: a device and a mail executor that offer every kind."""

from typing import Any

from quell.remediation.v1 import evidence_pb2, target_pb2, verdict_pb2

from quell_actioncenter.domain.targets import Device, Facts
from quell_runtime.kinds import kinds

SHA256 = "a" * 64
DEVICE = Device("devices/" + "a" * 26, ("web-1",), frozenset(kinds()))
OTHER = Device("devices/" + "b" * 26, ("db-1",), frozenset(kinds()))
FACTS = Facts(
    devices={DEVICE.name: DEVICE, OTHER.name: OTHER},
    claims={"web-1": (DEVICE.name,), "db-1": (OTHER.name,), "laptop": (DEVICE.name, OTHER.name)},
    kinds={"email": frozenset(kinds())},
)

FILE = evidence_pb2.FileEvidence(sha256=SHA256, path="/home/ann/evil")
CLUSTER = target_pb2.MessageCluster(subject="Invoice", sender_domain="evil.example")
ENTITIES: dict[str, Any] = {
    "file": FILE,
    "process": evidence_pb2.ProcessEvidence(pid=7, image=FILE),
    "machine": evidence_pb2.DeviceEvidence(),
    "message": target_pb2.MessageRef(mailbox="mailboxes/ann@example.org", sha256=SHA256),
    "cluster": CLUSTER,
    "attachment": evidence_pb2.AttachmentEvidence(
        sha256=SHA256,
        messages=target_pb2.MessageSelector(
            messages=target_pb2.MessageList(
                messages=[target_pb2.MessageRef(mailbox="mailboxes/ann@example.org", sha256=SHA256)]
            )
        ),
    ),
    "mailbox": evidence_pb2.MailboxEvidence(mailbox="mailboxes/ann@example.org", forwards_externally=True),
    "url": evidence_pb2.UrlEvidence(url="https://evil.example/login"),
    "other": evidence_pb2.OtherEvidence(kind="registry_key"),
}
ON_DEVICE = ("file", "process", "machine")


def evidence(entity: str, verdict: str = "MALICIOUS", **fields: object) -> evidence_pb2.Evidence:
    """Return evidence; what is on a device is on ours, unless `fields` say where."""
    place = {} if {"device", "host_name", "nowhere"} & fields.keys() else {"device": DEVICE.name}
    fields.pop("nowhere", None)
    content: dict[str, Any] = {entity: ENTITIES[entity], **(place if entity in ON_DEVICE else {}), **fields}
    return evidence_pb2.Evidence(id="e1", verdict=verdict_pb2.Verdict.Value(f"VERDICT_{verdict}"), **content)
