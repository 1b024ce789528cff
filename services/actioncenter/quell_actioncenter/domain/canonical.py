"""When two remediations are the same: one text for target and parameters, however they were written."""

import hashlib
import json
from collections.abc import Callable, Mapping

from google.protobuf import json_format
from quell.remediation.v1 import remediation_pb2

Json = None | bool | float | str | list["Json"] | dict[str, "Json"]

_CASELESS: Mapping[str, Callable[[str], str]] = {
    "mailbox": str.lower,
    "mailboxes": str.lower,
    "sender": str.lower,
    "sender_domain": str.lower,
    "content_type": str.lower,
    "subject": lambda text: " ".join(text.casefold().split()),
}
"""Fields that are compared without regard to case, or spaces."""


def text(remediation: remediation_pb2.Remediation) -> str:
    """Return kind, target and parameters as one text: equal for equal remediations.

    Lists are sets here: in no kind does an order count.
    """
    fields = json_format.MessageToDict(remediation, preserving_proto_field_name=True)
    return _dump(_normal("", fields))


def equal_key(investigation: str, remediation: remediation_pb2.Remediation) -> str:
    """Return a key that is equal for equal remediations of one investigation: SHA-256 in hex."""
    return hashlib.sha256(f"{investigation}\n{text(remediation)}".encode()).hexdigest()


def _normal(name: str, value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _normal(key, inner) for key, inner in value.items()}
    if isinstance(value, list):
        distinct = {_dump(normal): normal for normal in (_normal(name, inner) for inner in value)}
        return [distinct[key] for key in sorted(distinct)]
    if isinstance(value, str) and name in _CASELESS:
        return _CASELESS[name](value)
    return value


def _dump(value: Json) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
