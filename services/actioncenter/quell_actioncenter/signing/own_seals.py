"""Checking what people sealed with their own keys."""

from collections.abc import Iterable
from datetime import datetime

from quell.warrant.v1 import approval_pb2, seal_pb2

from quell_actioncenter.domain.errors import ApprovalSealInvalidError
from quell_runtime.own_keys import opened
from quell_runtime.sealing import SealInvalidError
from quell_runtime.seams import when


def approved_digest(sealed: seal_pb2.Sealed, person: str, keys: Iterable[bytes], deployment: str, now: datetime) -> str:
    """Return the digest, in hex, of the preview that a person's own key approves.

    Raises:
        ApprovalSealInvalidError: The key is none of that person's, or the approval is another's, or no longer counts.

    """
    try:
        approval = opened(sealed, approval_pb2.Approval, keys)
    except SealInvalidError:
        raise ApprovalSealInvalidError(f"no key of {person}'s in people.toml has sealed it") from None
    if (approval.approver, approval.deployment) != (person, deployment):
        raise ApprovalSealInvalidError(f"it is sealed as {approval.approver}'s, for {approval.deployment}")
    if when(approval.expire_time) <= now:
        raise ApprovalSealInvalidError("it is past its end: seal a new one")
    return approval.preview_digest.hex()
