"""Quorums: kinds that this executor does only if people whose keys it was given have sealed their approval.

Whoever runs the executor gives it the keys and the numbers, so that the centre, or who took its key, can't lower them.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from quell.warrant.v1 import approval_pb2, preview_pb2, warrant_pb2

from quell_executor.effect import RefusedError
from quell_runtime.errors import InvalidError
from quell_runtime.kinds import kinds
from quell_runtime.own_keys import opened, public_key
from quell_runtime.sealing import SealInvalidError, key_id_of
from quell_runtime.seams import when


@dataclass(frozen=True, slots=True)
class Quorum:
    """Whose own approvals a kind needs: `needed` different people of `approvers` (Ed25519 public key -> name)."""

    needed: int
    approvers: Mapping[bytes, str]


def quorums_of(needed: Mapping[str, int], approvers: Mapping[str, Iterable[str]]) -> Mapping[str, Quorum]:
    """Read quorums as configurations have them: how many by kind, and each approver's public keys.

    Raises:
        InvalidError: There is no such kind, a key is none or two people's, or there are too few approvers.

    """
    names: dict[bytes, str] = {}
    for name, keys in approvers.items():
        for key in map(public_key, keys):
            if names.setdefault(key, name) != name:
                raise InvalidError(f"approvers.{name}: the key is also {names[key]}'s")
    people = len(set(names.values()))
    for kind, count in needed.items():
        if kind not in kinds():
            raise InvalidError(f"quorums.{kind}: there is no such kind")
        if not 1 <= count <= people:
            raise InvalidError(f"quorums.{kind}: from 1 to as many as there are approvers ({people})")
    return {kind: Quorum(count, names) for kind, count in needed.items()}


def check_quorum(warrant: warrant_pb2.Warrant, quorums: Mapping[str, Quorum]) -> None:
    """Count the approvals that people sealed with keys that we were given; an undo is of the inverse kind.

    Raises:
        RefusedError: There are too few.

    """
    kind = kinds()[str(warrant.remediation.WhichOneof("kind"))]
    quorum = quorums.get(kind.inverse if warrant.undo_of and kind.undoable else kind.name)
    if quorum is None:
        return
    approvers = _approvers(warrant, quorum)
    if len(approvers) < quorum.needed:
        raise RefusedError("APPROVALS_MISSING", f"it needs the approvals of {quorum.needed}, it has {len(approvers)}")


def _approvers(warrant: warrant_pb2.Warrant, quorum: Quorum) -> set[str]:
    # What was shown without an action's name would be approved for every action that does the same.
    if preview_pb2.Preview.FromString(warrant.preview).action != warrant.action:
        return set()
    shown = hashlib.sha256(warrant.preview).digest()
    owners = {key_id_of(public): name for public, name in quorum.approvers.items()}
    approvers = set()
    for sealed in warrant.approvals:
        try:
            approval = opened(sealed, approval_pb2.Approval, quorum.approvers)
        except SealInvalidError:
            continue
        name = owners[sealed.key_id]
        same = (approval.approver, approval.preview_digest, approval.deployment) == (name, shown, warrant.deployment)
        # Judged by when the warrant was sealed, so that a restart in between comes to the same.
        if same and when(warrant.issue_time) < when(approval.expire_time):
            approvers.add(name)
    return approvers
