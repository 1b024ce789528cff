"""The words that raise what an executor knows: key sets by the root key, freezes by the centre's keys."""

from datetime import datetime

from quell.warrant.v1 import freeze_pb2, key_set_pb2, seal_pb2

from quell_executor.settings import Settings
from quell_runtime.sealing import SealInvalidError, key_id_of, open_seal
from quell_runtime.seams import when

WARRANT = "quell.warrant.v1.Warrant"
KEY_SET = "quell.warrant.v1.KeySet"
FREEZE = "quell.warrant.v1.Freeze"
RECEIPT = "quell.warrant.v1.Receipt"
EFFECT_REPORT = "quell.warrant.v1.EffectReport"


def seal_key(key_set: key_set_pb2.KeySet | None, key_id: bytes) -> key_set_pb2.Key | None:
    """Return the centre's key of that id, if it may seal and is not revoked. Its validity is judged by `holds_at`."""
    for key in key_set.keys if key_set else ():
        if key.key_id == key_id and key.use == key_set_pb2.KEY_USE_SEAL and not key.revoked:
            return key
    return None


def open_by_center(sealed: seal_pb2.Sealed, expected: str, key_set: key_set_pb2.KeySet | None) -> bytes:
    """Return the body of what the centre sealed; `holds_at` must still judge its time.

    Raises:
        SealInvalidError: It isn't sealed by a key of the centre.

    """
    key = seal_key(key_set, sealed.key_id)
    return open_seal(sealed, expected, lambda _id: key.public_key if key else None)


def holds_at(sealed: seal_pb2.Sealed, key_set: key_set_pb2.KeySet | None, time: datetime) -> None:
    """Check that the key was valid when it sealed.

    Raises:
        SealInvalidError: It was not.

    """
    key = seal_key(key_set, sealed.key_id)
    if key is None or not when(key.not_before_time) <= time < when(key.not_after_time):
        raise SealInvalidError("the key was not valid when it sealed")


def newer_key_set(
    sealed: seal_pb2.Sealed, known: key_set_pb2.KeySet | None, settings: Settings
) -> key_set_pb2.KeySet | None:
    """Return the key set if it is newer than the known one.

    Raises:
        SealInvalidError: The pinned root key did not seal it, or it is another deployment's.

    """
    root = settings.root_key
    body = open_seal(sealed, KEY_SET, lambda key_id: root if key_id == key_id_of(root) else None)
    found = key_set_pb2.KeySet.FromString(body)
    if found.deployment != settings.deployment:
        raise SealInvalidError("the key set is another deployment's")
    return found if found.version > (known.version if known else 0) else None


def newer_freeze(
    sealed: seal_pb2.Sealed,
    known: freeze_pb2.Freeze | None,
    key_set: key_set_pb2.KeySet | None,
    settings: Settings,
) -> freeze_pb2.Freeze | None:
    """Return the freeze if it is newer than the known one.

    Raises:
        SealInvalidError: The centre did not seal it, or it is another deployment's.

    """
    found = freeze_pb2.Freeze.FromString(open_by_center(sealed, FREEZE, key_set))
    holds_at(sealed, key_set, when(found.issue_time))
    if found.deployment != settings.deployment:
        raise SealInvalidError("the freeze is another deployment's")
    return found if found.epoch > (known.epoch if known else 0) else None
