"""The root key vouches for the centre's keys."""

from datetime import UTC, datetime, timedelta

from quell.warrant.v1 import key_set_pb2

from quell_runtime import key_sets
from quell_runtime.sealing import SealKey, open_seal
from quell_runtime.seams import when

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def test_a_key_set_opens_under_the_root_key_and_names_the_centres() -> None:
    """With its use and its time."""
    root, center = SealKey(bytes(32)), SealKey(b"c" * 32)
    key = key_sets.sealing_key(center.public, NOW, timedelta(days=365))
    sealed = key_sets.sealed(root, "example", 1, [key])
    body = open_seal(sealed, key_sets.TYPE, lambda key_id: root.public if key_id == root.key_id else None)
    found = key_set_pb2.KeySet.FromString(body)
    assert (found.deployment, found.version, list(found.keys)) == ("example", 1, [key])
    assert key.key_id == center.key_id
    assert when(key.not_before_time) < NOW < when(key.not_after_time) == NOW + timedelta(days=365)
