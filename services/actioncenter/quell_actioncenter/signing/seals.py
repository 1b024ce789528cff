"""The centre's own seal: one signature a batch, by a key that its `KeySet` lists."""

from collections.abc import Sequence
from datetime import datetime

from google.protobuf.message import DecodeError
from quell.warrant.v1 import freeze_pb2, key_set_pb2, seal_pb2, warrant_pb2

from quell_runtime.errors import StateError
from quell_runtime.sealing import SealKey
from quell_runtime.seams import when

WARRANT = warrant_pb2.Warrant.DESCRIPTOR.full_name
FREEZE = freeze_pb2.Freeze.DESCRIPTOR.full_name


class KeyNotInForceError(StateError):
    """The key that this process would seal with is not one that executors would believe."""

    reason = "SEAL_KEY_NOT_IN_FORCE"


class Seals:
    """Seals for a deployment by the centre's key. `key_set` goes to every executor, which checks it by the root key."""

    def __init__(self, key: SealKey, key_set: seal_pb2.Sealed, deployment: str) -> None:
        """Keep the key."""
        self._key = key
        self.key_set = key_set
        self.deployment = deployment

    def check(self, now: datetime) -> None:
        """See that executors would believe us; at start, so that nobody approves what nobody would do.

        Raises:
            KeyNotInForceError: The key set is another deployment's, or our key is not in it, over or revoked.

        """
        try:
            keys = key_set_pb2.KeySet.FromString(self.key_set.body)
        except DecodeError:
            raise KeyNotInForceError("the key set can't be read") from None
        if keys.deployment != self.deployment:
            raise KeyNotInForceError(f"the key set is for the deployment {keys.deployment}, not {self.deployment}")
        if not any(self._is_ours(key, now) for key in keys.keys):
            raise KeyNotInForceError("the key set does not list the seal key as valid now: have a new one sealed")

    def _is_ours(self, key: key_set_pb2.Key, now: datetime) -> bool:
        return (
            key.key_id == self._key.key_id
            and key.use == key_set_pb2.KEY_USE_SEAL
            and not key.revoked
            and when(key.not_before_time) <= now < when(key.not_after_time)
        )

    def warrants(self, bodies: Sequence[bytes]) -> list[seal_pb2.Sealed]:
        """Seal serialized warrants with one signature."""
        return self._key.seal(WARRANT, bodies)

    def freeze(self, freeze: freeze_pb2.Freeze) -> seal_pb2.Sealed:
        """Seal the state of the freeze."""
        return self._key.seal(FREEZE, [freeze.SerializeToString(deterministic=True)])[0]
