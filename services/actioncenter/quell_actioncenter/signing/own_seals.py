"""Checking what people sealed with their own keys."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from google.protobuf.message import DecodeError
from quell.warrant.v1 import actor_token_pb2, approval_pb2, seal_pb2

from quell_actioncenter.domain.errors import ActorTokenInvalidError, ApprovalSealInvalidError
from quell_runtime import identity
from quell_runtime.own_keys import TOKEN_LIFE, opened, token_of
from quell_runtime.sealing import SealInvalidError
from quell_runtime.seams import when

SKEW = timedelta(minutes=1)
"""How far a person's clock may be ahead of ours."""


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


@dataclass(frozen=True, slots=True)
class Errand:
    """What a service asks for on behalf of a person: who, whose keys these are, by which service, which action."""

    person: str
    keys: frozenset[bytes]
    service: identity.Identity
    action: str


def check_token(text: str, errand: Errand, now: datetime) -> None:
    """See that a token is the person's own word for this errand.

    Raises:
        ActorTokenInvalidError: It is not.

    """
    try:
        said = opened(token_of(text), actor_token_pb2.ActorToken, errand.keys)
    except (ValueError, DecodeError, SealInvalidError):
        raise ActorTokenInvalidError(f"no key of {errand.person}'s in people.toml has sealed the token") from None
    wanted = (errand.service.deployment, errand.person, str(errand.service), errand.action)
    if (said.deployment, said.person, said.audience, said.action) != wanted:
        told = f"{said.person} of {said.deployment} lets {said.audience} ask for {said.action}"
        raise ActorTokenInvalidError(f"the token says that {told}: that is something else")
    if not now < when(said.expire_time) <= now + TOKEN_LIFE + SKEW:
        raise ActorTokenInvalidError("the token is past its end, or has one that is too far away")
