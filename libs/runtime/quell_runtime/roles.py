"""Who may do what: the one table from roles to permissions.

A permission is `noun.verb`, as the `access` options of the contracts name it. `*` stands for any noun: `*.approve` is
the right to approve of every kind; each kind has its own rights, `isolate_device.create` and
`isolate_device.approve`, so a narrower grant can name one kind (`people.toml`, `permissions`).

| role | may |
|---|---|
| viewer | see everything; change nothing |
| responder | ask for actions, preview, cancel, undo, retry, freeze; end an investigation |
| approver | decide on what others ask for; cancel, undo, freeze, lift a freeze |
| admin | devices, policy, audit, write-offs, freeze; no action, and no decision on one |

Nobody has both the keys of the house and the right to act on the fleet unless given two roles by name. What is no
person has the role of its kind, by its certificate alone.
"""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import cache

from quell.annotations.v1 import annotations_pb2

from quell_runtime.kinds import kinds

_SEE = {"*.read", "urls.check"}
_LOOK_INTO = {"artifacts.download", "clicks.list", "quarantine.view"}
_STOP = {"actions.preview", "actions.cancel", "actions.undo", "control.freeze", "investigations.feedback"}

ROLES: Mapping[str, frozenset[str]] = {
    "viewer": frozenset(_SEE),
    "responder": frozenset({*_SEE, *_STOP, *_LOOK_INTO, "*.create", "actions.retry", "investigations.terminate"}),
    "approver": frozenset({*_SEE, *_STOP, *_LOOK_INTO, "*.approve", "actions.decide", "control.unfreeze"}),
    "admin": frozenset({*_SEE, "devices.*", "policies.*", "audit.*", "control.*", "actions.write_off"}),
}
"""What people can be."""

OF_KIND: Mapping[annotations_pb2.Caller.ValueType, frozenset[str]] = {
    annotations_pb2.CALLER_DETECTOR: frozenset({"investigations.submit", "investigations.read"}),
    annotations_pb2.CALLER_SERVICE: frozenset({"*.create"}),
    annotations_pb2.CALLER_ACTION_CENTER: frozenset({"warrants.send"}),
    annotations_pb2.CALLER_AGENT: frozenset({"agents.connect"}),
    annotations_pb2.CALLER_MAIL_FILTER: frozenset({"urls.check"}),
    annotations_pb2.CALLER_ANYONE: frozenset({"agents.enrol"}),
}
"""What callers that are no people may do, by what they are."""


def grants(patterns: Iterable[str], permission: str) -> bool:
    """Tell whether one of the patterns gives the permission."""
    return any(fnmatchcase(permission, pattern) for pattern in patterns)


@cache
def permissions_of_kinds() -> frozenset[str]:
    """Return the rights that each kind of remediation has for itself."""
    return frozenset(f"{kind}.{verb}" for kind in kinds() for verb in ("create", "approve"))


@cache
def grantable() -> frozenset[str]:
    """Return what can be given to one person beside roles: single rights, no patterns."""
    of_roles = {right for rights in ROLES.values() for right in rights if "*" not in right}
    return permissions_of_kinds() | of_roles | {"actions.create"}
