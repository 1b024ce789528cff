"""Verified warrants: nothing is carried out without one, and only `verify` makes one."""

import hashlib
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from quell.remediation.v1 import remediation_pb2
from quell.warrant.v1 import key_set_pb2, preview_pb2, seal_pb2, warrant_pb2

from quell_executor.authority import WARRANT, holds_at, open_by_center
from quell_executor.effect import RefusedError
from quell_executor.quorum import check_quorum
from quell_executor.settings import Settings
from quell_runtime.kinds import Kind, is_cluster, kinds, order_of
from quell_runtime.sealing import SealInvalidError
from quell_runtime.seams import when

_PROOF = object()


class VerifiedWarrant:
    """A warrant that holds, as far as words go: seal, keys, target, kind, preview and approvals are right.

    Whether it is in time is judged when it is begun.
    """

    __slots__ = ("kind", "warrant")

    def __init__(self, warrant: warrant_pb2.Warrant, proof: object) -> None:
        """Refuse to be made by anybody but `verify`."""
        if proof is not _PROOF:
            raise TypeError("only verify() makes a verified warrant")
        self.warrant = warrant
        self.kind: Kind = kinds()[str(warrant.remediation.WhichOneof("kind"))]

    @property
    def action(self) -> str:
        """The action: `actions/{action}`."""
        return self.warrant.action

    @property
    def lets_go(self) -> bool:
        """Whether it takes back: an undo or a release."""
        return bool(self.warrant.undo_of) or self.kind.release

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        return self.kind.read_only

    @property
    def takes_back(self) -> str:
        """The action that it names to be taken back; empty if it names none."""
        return taken_back(self.warrant.remediation, self.warrant.undo_of)


def taken_back(remediation: remediation_pb2.Remediation, undo_of: str) -> str:
    """Return the action that is named to be taken back: by an undo, or by a release whose order names one."""
    if undo_of:
        return undo_of
    kind = kinds()[str(remediation.WhichOneof("kind"))]
    named: str = getattr(order_of(remediation), "action", "") if kind.release else ""
    return named


@dataclass(frozen=True, slots=True)
class Bench:
    """What a warrant is judged by, besides the centre's keys: who we are and what we serve."""

    settings: Settings
    fingerprint: bytes
    kinds: frozenset[str]


def digest_of(sealed: seal_pb2.Sealed) -> bytes:
    """Return what receipts name a warrant by."""
    return hashlib.sha256(sealed.body).digest()


def verify(sealed: seal_pb2.Sealed, key_set: key_set_pb2.KeySet | None, bench: Bench) -> VerifiedWarrant:
    """Return the warrant, verified.

    Raises:
        RefusedError: Something about it is not right; the reason says what.

    """
    try:
        warrant = warrant_pb2.Warrant.FromString(open_by_center(sealed, WARRANT, key_set))
        holds_at(sealed, key_set, when(warrant.issue_time))
    except (SealInvalidError, DecodeError) as error:
        raise RefusedError("SEAL_INVALID", str(error)) from error
    _addressed_to_us(warrant, bench)
    _offered(warrant, bench)
    _as_its_contract_says(warrant)
    if warrant.preview:
        _as_previewed(warrant)
    check_quorum(warrant, bench.settings.quorums)
    return VerifiedWarrant(warrant, _PROOF)


def _addressed_to_us(warrant: warrant_pb2.Warrant, bench: Bench) -> None:
    if warrant.deployment != bench.settings.deployment:
        raise RefusedError("DEPLOYMENT_MISMATCH", "it is another deployment's")
    if (warrant.target_key or warrant.executor_key) != bench.fingerprint:
        raise RefusedError("TARGET_MISMATCH", "it is for another executor")


def _offered(warrant: warrant_pb2.Warrant, bench: Bench) -> None:
    kind = warrant.remediation.WhichOneof("kind")
    if kind not in bench.kinds:
        missing = bench.settings.missing.get(str(kind), "")
        raise RefusedError("EXECUTOR_LACKS_KIND", f"{kind} is not served here{missing and f': {missing}'}")
    if is_cluster(warrant.remediation) and not (warrant.snapshot_digest or warrant.undo_of):
        raise RefusedError("SNAPSHOT_LOST", "a cluster needs the list that was approved")


def _as_its_contract_says(warrant: warrant_pb2.Warrant) -> None:
    """Check every field by the contract's rules: a centre that is wrong, or no longer ours, has not checked them."""
    # It takes 13 MB, which an executor that is never asked for anything does not need.
    import protovalidate  # noqa: PLC0415

    try:
        protovalidate.validate(warrant)
    except protovalidate.ValidationError as error:
        raise RefusedError("WARRANT_INVALID", "it is not as its contract says") from error


def _as_previewed(warrant: warrant_pb2.Warrant) -> None:
    """Check that the warrant says what was shown to those who approved."""
    try:
        shown = preview_pb2.Preview.FromString(warrant.preview)
    except DecodeError as error:
        raise RefusedError("PREVIEW_MISMATCH", "the preview can't be read") from error
    fields = ("remediation", "snapshot_digest", "snapshot_count", "max_items", "target_key", "undo_of", "revert_time")
    same = all(getattr(shown, name) == getattr(warrant, name) for name in fields)
    if not same or shown.action not in ("", warrant.action) or when(warrant.expire_time) > when(shown.expire_time):
        raise RefusedError("PREVIEW_MISMATCH", "it is not what was approved")
