"""The centre's keys, as the root key vouches for them."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from quell.warrant.v1 import key_set_pb2, seal_pb2

from quell_runtime.sealing import SealKey, key_id_of
from quell_runtime.seams import stamp

TYPE = key_set_pb2.KeySet.DESCRIPTOR.full_name
SKEW = timedelta(minutes=5)


def sealing_key(public: bytes, now: datetime, life: timedelta) -> key_set_pb2.Key:
    """Return a key that seals warrants and freezes from now on."""
    return _key(public, key_set_pb2.KEY_USE_SEAL, now, life)


def recovery_key(public: bytes, now: datetime, life: timedelta) -> key_set_pb2.Key:
    """Return a key (X25519) that data keys of vaults are wrapped for, beside the executor's own."""
    return _key(public, key_set_pb2.KEY_USE_RECOVERY, now, life)


def _key(public: bytes, use: key_set_pb2.KeyUse.ValueType, now: datetime, life: timedelta) -> key_set_pb2.Key:
    return key_set_pb2.Key(
        key_id=key_id_of(public),
        public_key=public,
        use=use,
        not_before_time=stamp(now - SKEW),
        not_after_time=stamp(now + life),
    )


def sealed(root: SealKey, deployment: str, version: int, keys: Sequence[key_set_pb2.Key]) -> seal_pb2.Sealed:
    """Seal a set of keys by the root key. Executors take a higher version only."""
    body = key_set_pb2.KeySet(deployment=deployment, version=version, keys=keys).SerializeToString(deterministic=True)
    return root.seal(TYPE, [body])[0]
