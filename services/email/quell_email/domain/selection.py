"""Which messages an order means: what it asks, one criterion at a time, and how a message answers."""

import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from ipaddress import IPv6Address, ip_address

import protovalidate
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from quell.remediation.v1 import target_pb2

from quell_email.domain.errors import UrlInvalidError
from quell_email.domain.facts import Headers, attachment_mark, normal_subject, url_mark, within
from quell_email.domain.fingerprint import NEAR, marks_of
from quell_email.domain.wrappers import unwrapped
from quell_executor.effect import RefusedError
from quell_runtime.seams import when

EVIDENCE_NAMES = {
    "Subject": "subject",
    "SenderDomain": "sender_domain",
    "SenderIp": "sender_ip",
    "ContentType": "content_type",
    "BodyFingerprint": "body_fingerprint",
}
"""Fields of a cluster by the names that evidence of detection systems gives them."""
SENT = frozenset({"sent", "sent items", "sent messages"})


@dataclass(frozen=True, slots=True)
class Criterion:
    """What must be so of a message. Empty fields ask nothing; `mailboxes` None means all, by canonical address."""

    mailboxes: frozenset[str] | None = None
    sha256: str = ""
    location: target_pb2.MailLocation | None = None
    message_id: str = ""
    subject: str = ""
    sender: str = ""
    sender_domain: str = ""
    sender_ip: str = ""
    content_type: str = ""
    marks: frozenset[bytes] = field(default_factory=frozenset)
    near: frozenset[bytes] = field(default_factory=frozenset)
    """Of the marks of a fingerprint, most must be there."""
    start_time: datetime | None = None
    end_time: datetime | None = None
    legible: bool = False
    """Whether the other fields are asked even where the digest tells the message."""

    def allows_time(self, delivered: datetime) -> bool:
        """Tell whether it was delivered in the time that is meant."""
        return (self.start_time is None or delivered >= self.start_time) and (
            self.end_time is None or delivered < self.end_time
        )

    def allows_headers(self, headers: Headers) -> bool:
        """Tell whether the headers are as asked."""
        senders = [sender.casefold() for sender in headers.senders]
        domains = [sender.rpartition("@")[2].rstrip(".") for sender in senders]
        return (
            self.message_id in ("", headers.message_id)
            and self.subject in ("", normal_subject(headers.subject))
            and (not self.sender or self.sender in senders)
            and (not self.sender_domain or any(within(domain, self.sender_domain) for domain in domains))
            and self.sender_ip in ("", headers.sender_ip)
            and self.content_type in ("", headers.content_type)
        )

    @property
    def asks_body(self) -> bool:
        """Tell whether the headers alone can't answer."""
        return bool(self.marks or self.near)

    def allows_marks(self, marks: frozenset[bytes]) -> bool:
        """Tell whether the marks of the body are as asked."""
        return self.marks <= marks and (not self.near or len(self.near & marks) >= NEAR)


def criteria(selector: target_pb2.MessageSelector) -> list[Criterion]:
    """Return what a selector asks; a message is meant if it answers one of them.

    Raises:
        RefusedError: It asks for something that can't be told here.

    """
    if selector.WhichOneof("by") == "cluster":
        return [_of_cluster(selector.cluster)]
    return [_of_ref(ref) for ref in selector.messages.messages]


def again(selector: target_pb2.MessageSelector) -> Criterion:
    """Return what is asked of each message of a snapshot besides its digest.

    What could not be read, and so was shown as refused, must not be taken by its digest afterwards.
    """
    if selector.WhichOneof("by") == "cluster":
        cluster = _of_cluster(selector.cluster)
        return replace(cluster, mailboxes=None, start_time=None, end_time=None, legible=True)
    return Criterion(legible=any(ref.message_id for ref in selector.messages.messages))


def names(selector: target_pb2.MessageSelector) -> frozenset[str]:
    """Return the keys of what a selector names, the same for the same question however it is written."""
    asked: list[Message] = [*selector.messages.messages] or [_spelt_out(selector.cluster)]
    return frozenset(_name(_plain(one)) for one in asked)


def key_of(mailbox: str, sha256: str) -> str:
    """Return the item key of a message."""
    return f"email.message:{mailbox}:{sha256}"


def names_of(mailbox: str, sha256: str, message_id: str) -> frozenset[str]:
    """Return the keys of everything but a cluster that could name a message."""
    refs = [{"sha256": sha256}, {"mailbox": f"mailboxes/{mailbox}", "sha256": sha256}]
    if message_id:
        refs += [{"message_id": message_id}, {"mailbox": f"mailboxes/{mailbox}", "message_id": message_id}]
    return frozenset(map(_name, refs))


def _name(asked: object) -> str:
    return f"email.query:{json.dumps(asked, sort_keys=True)}"


def _plain(message: Message) -> object:
    found = MessageToDict(message, preserving_proto_field_name=True)
    for name in ("mailbox", "sender", "sender_domain", "content_type"):
        if name in found:
            found[name] = found[name].casefold()
    if "message_id" in found:
        found["message_id"] = found["message_id"].strip("<> ")
    if "subject" in found:
        found["subject"] = normal_subject(found["subject"])
    if "mailboxes" in found:
        found["mailboxes"] = sorted({name.casefold() for name in found["mailboxes"]})
    return found


def address_of(name: str) -> str:
    """Return the address of `mailboxes/{address}`, without case."""
    return name.removeprefix("mailboxes/").casefold()


def _of_ref(ref: target_pb2.MessageRef) -> Criterion:
    return Criterion(
        mailboxes=frozenset({address_of(ref.mailbox)}) if ref.mailbox else None,
        sha256=ref.sha256,
        location=ref.location if ref.HasField("location") else None,
        message_id=ref.message_id.strip("<> "),
    )


def _spelt_out(cluster: target_pb2.MessageCluster) -> target_pb2.MessageCluster:
    """Return a cluster by its fields, whatever detection systems call them together."""
    if not cluster.cluster_by:
        return cluster
    found = target_pb2.MessageCluster()
    found.CopyFrom(cluster)
    values = cluster.cluster_by_value.rsplit(";", 2)
    for name, value in zip(cluster.cluster_by.split(";"), values, strict=True):
        setattr(found, EVIDENCE_NAMES[name], value.strip())
    found.ClearField("cluster_by")
    found.ClearField("cluster_by_value")
    if wrong := protovalidate.collect_violations(found):
        raise RefusedError("CLUSTER_VALUE_INVALID", f"cluster_by_value: {wrong[0].proto.message}")
    return found


def _of_cluster(named: target_pb2.MessageCluster) -> Criterion:
    cluster = _spelt_out(named)
    near = marks_of(cluster.body_fingerprint)
    if cluster.body_fingerprint and not near:
        raise RefusedError("CLUSTER_FIELD_UNSUPPORTED", "only a body_fingerprint of the form minhash1: can be compared")
    marks = {attachment_mark(cluster.attachment_sha256)} if cluster.attachment_sha256 else set()
    if cluster.url:
        try:
            marks.add(url_mark(str(unwrapped(cluster.url)[-1])))
        except UrlInvalidError:
            raise RefusedError("URL_INVALID", "the cluster's URL is no absolute URL") from None
    return Criterion(
        mailboxes=frozenset(map(address_of, cluster.mailboxes)) or None,
        subject=normal_subject(cluster.subject),
        sender=cluster.sender.casefold(),
        sender_domain=cluster.sender_domain.casefold(),
        sender_ip=_ip(cluster.sender_ip) if cluster.sender_ip else "",
        content_type=cluster.content_type.strip().lower(),
        marks=frozenset(marks),
        near=near,
        start_time=when(cluster.start_time) if cluster.HasField("start_time") else None,
        end_time=when(cluster.end_time) if cluster.HasField("end_time") else None,
    )


def _ip(text: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        address = None
    if address is None or (isinstance(address, IPv6Address) and address.scope_id):
        # The contract's rule lets a zone through, which says nothing to anybody but the machine that wrote it.
        raise RefusedError("CLUSTER_VALUE_INVALID", "sender_ip: an address without a zone is needed")
    return str(address)
