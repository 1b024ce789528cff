"""The kinds of remediation and what each promises, read from the contract's options."""

from dataclasses import dataclass
from functools import cache

from google.protobuf.message import Message
from quell.annotations.v1 import annotations_pb2
from quell.remediation.v1 import remediation_pb2

READ_ONLY = annotations_pb2.REVERSIBILITY_READ_ONLY
EXACT = annotations_pb2.REVERSIBILITY_EXACT


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of remediation. `name` is its field name in `Remediation`."""

    name: str
    aspect: str
    target_field: str
    reversibility: int
    inverse: str
    release: bool
    not_restored: tuple[str, ...]

    @property
    def plane(self) -> str:
        """Which executor is asked: `device` or `email`."""
        return self.aspect.split(".", 1)[0]

    @property
    def read_only(self) -> bool:
        """Whether it changes nothing."""
        return self.reversibility == READ_ONLY

    @property
    def undoable(self) -> bool:
        """Whether undo puts back what it replaced."""
        return self.reversibility == EXACT


@cache
def kinds() -> dict[str, Kind]:
    """Return every kind by its name, in the order of the contract."""
    found = {}
    for field in remediation_pb2.Remediation.DESCRIPTOR.oneofs_by_name["kind"].fields:
        assert field.message_type is not None  # noqa: S101 - every kind is a message
        effect = field.message_type.GetOptions().Extensions[annotations_pb2.effect]
        found[field.name] = Kind(
            name=field.name,
            aspect=effect.aspect,
            target_field=effect.target,
            reversibility=effect.reversibility,
            inverse=effect.inverse,
            release=effect.release,
            not_restored=tuple(effect.not_restored),
        )
    return found


def kind_of(remediation: remediation_pb2.Remediation) -> Kind:
    """Return the kind of a remediation that has one."""
    name = remediation.WhichOneof("kind")
    assert name is not None, "validated at the edge"  # noqa: S101
    return kinds()[name]


def order_of(remediation: remediation_pb2.Remediation) -> Message:
    """Return the kind's own message: target and parameters."""
    found: Message = getattr(remediation, kind_of(remediation).name)
    return found


def device_of(remediation: remediation_pb2.Remediation) -> str:
    """Return the device that it is for, `devices/{device}`, or an empty string for other planes."""
    if kind_of(remediation).plane != "device":
        return ""
    found: str = getattr(order_of(remediation), "device", "")
    return found


def is_cluster(remediation: remediation_pb2.Remediation) -> bool:
    """Tell whether its targets must be resolved to a snapshot before anybody can approve it.

    A message told by its Message-ID, or without its mailbox, may be many: it counts as a cluster.
    """
    messages = getattr(order_of(remediation), "messages", None)
    if messages is None:
        return False
    if messages.WhichOneof("by") == "cluster":
        return True
    return any(not ref.mailbox or ref.WhichOneof("by") == "message_id" for ref in messages.messages.messages)
