"""On which device evidence is: named, found by a host name, or the one device of its investigation; never guessed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from google.protobuf.message import Message
from quell.remediation.v1 import evidence_pb2, remediation_pb2, target_pb2

from quell_actioncenter.domain import block_pattern
from quell_actioncenter.domain.policy_document import Things
from quell_runtime.kinds import Kind, order_of


@dataclass(frozen=True, slots=True)
class Device:
    """A device that can be acted on: enrolled, neither banned nor offboarded. `kinds` are those that it offers.

    `tags` are the device service's words, not the device's: they choose a group, and nothing else.
    """

    name: str
    host_names: tuple[str, ...] = ()
    kinds: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of targets when evidence or a request is decided.

    `devices`: by name, those that may be meant. `claims`: host names in lower case, each with all devices that have
    ever claimed it. `seen_on`: the devices of the same investigation, as `see` returns them. `kinds`: by plane other
    than `device`, what its executor offers.
    """

    devices: Mapping[str, Device] = field(default_factory=dict)
    claims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    seen_on: tuple[str, ...] = ()
    kinds: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def offers(self, kind: Kind, device: Device | None) -> bool:
        """Tell whether the device, or the plane's executor, was last known to offer the kind."""
        return kind.name in (self.kinds.get(kind.plane, ()) if device is None else device.kinds)


@dataclass(frozen=True, slots=True)
class Resolved:
    """The device (None: the plane has none), and the host name by which it was found, if so."""

    device: Device | None
    resolved_by: str = ""


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Why no device is meant, in one sentence, and what would have the evidence read again."""

    message: str
    waits_for: str


def see(
    known: Iterable[str], evidence: Iterable[evidence_pb2.Evidence], claims: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """Return up to two devices that an investigation's evidence names: those known so far, and those of more evidence.

    One that only a host name tells is followed by that name: `devices/{device} {host name}`.
    """
    found: dict[str, str] = {}
    for entry in [*known, *filter(None, (_entry(one, claims) for one in evidence))]:
        device, _, host = entry.partition(" ")
        found[device] = host if found.get(device, "?") else ""
    return tuple(f"{device} {host}".rstrip() for device, host in sorted(found.items())[:2])


def device_seen(entry: str) -> str:
    """Return the device of what `see` returns."""
    return entry.partition(" ")[0]


def _entry(evidence: evidence_pb2.Evidence, claims: Mapping[str, tuple[str, ...]]) -> str:
    if evidence.device or not evidence.host_name:
        return evidence.device
    claimed = claims.get(evidence.host_name.lower(), ())
    return f"{claimed[0]} {evidence.host_name}" if len(claimed) == 1 else ""


def resolve(evidence: evidence_pb2.Evidence, facts: Facts) -> Resolved | Unresolved:
    """Return the device that evidence is on, or why none is."""
    if evidence.device:
        return _enrolled(evidence.device, "", facts)
    host = evidence.host_name.lower()
    if host:
        claimed = facts.claims.get(host, ())
        if len(claimed) == 1:
            return _enrolled(claimed[0], evidence.host_name, facts)
        how_many = "Several devices have" if claimed else "No device has"
        return Unresolved(f"{how_many} claimed the host name {evidence.host_name}.", f"host/{host}")
    if len(facts.seen_on) == 1:
        device, _, seen_host = facts.seen_on[0].partition(" ")
        return _enrolled(device, seen_host, facts)
    how_many = "names several devices" if facts.seen_on else "names no device"
    return Unresolved(f"It has no device, and its investigation {how_many}.", "investigation")


def _enrolled(name: str, resolved_by: str, facts: Facts) -> Resolved | Unresolved:
    device = facts.devices.get(name)
    if device is None:
        return Unresolved(f"{name} is not enrolled.", name)
    return Resolved(device, resolved_by)


def labels(device: Device) -> Things:
    """Return the names by which a policy may mean a device."""
    return Things(devices=(device.name,), host_names=device.host_names)


def touched(remediation: remediation_pb2.Remediation, device: Device | None) -> Things:
    """Return what a remediation names, as far as policies can protect or exclude it."""
    order, known = order_of(remediation), labels(device) if device else Things()
    file = getattr(order, "file", target_pb2.FileSelector())
    pattern = getattr(order, "pattern", "")
    return Things(
        devices=known.devices,
        host_names=known.host_names,
        paths=(file.path,) if file.path else (),
        hashes=tuple(digest for digest in (file.sha256, file.sha1) if digest),
        mailboxes=tuple(address.removeprefix("mailboxes/").lower() for address in _mailboxes(order)),
        url_hosts=(block_pattern.host_of(pattern),) if pattern else (),
    )


def _mailboxes(order: Message) -> Iterable[str]:
    mailbox = getattr(order, "mailbox", "")
    if mailbox:
        return [mailbox]
    selector = getattr(order, "messages", target_pb2.MessageSelector())
    return [*selector.cluster.mailboxes, *(ref.mailbox for ref in selector.messages.messages if ref.mailbox)]
