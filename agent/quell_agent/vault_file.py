"""A quarantined file under lock: `quell_runtime.locked`, with a manifest that says whose names it had.

Its data key is wrapped by a key made of the device's identity key and by the deployment's recovery key, so that a lost
agent does not mean lost files.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from quell_agent.before import Before
from quell_runtime import locked
from quell_runtime.data_keys import DataKeys, Wraps
from quell_runtime.sealing import SealKey, device_id


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a file in the vault is: the action that took it, and its names with all that they need to be put back."""

    action: str
    names: tuple[Before, ...]


class VaultKeys(DataKeys):
    """The keys that wrap data keys. `recovery` returns the deployment's public recovery key, or None without one."""

    def __init__(self, identity: bytes, recovery: Callable[[], bytes | None]) -> None:
        """Take the 32 private bytes of the device's identity key."""
        super().__init__(identity, recovery, "device")
        self.device = f"devices/{device_id(SealKey(identity).key_id)}"
        """The device whose identity key it is: `devices/{device}`."""


def write(out: BinaryIO, source: int, manifest: Manifest, keys: VaultKeys) -> None:
    """Lock what is in a file now; what others, who still have it open, add meanwhile is not."""
    size = os.fstat(source).st_size
    names = [before.dump().decode() for before in manifest.names]
    listing = json.dumps({"action": manifest.action, "names": names}).encode()
    locked.write(out, lambda offset: os.pread(source, min(locked.CHUNK, size - offset), offset), listing, keys)


class VaultFile:
    """A locked file that is open."""

    def __init__(self, source: BinaryIO, unwrap: Callable[[Wraps], bytes]) -> None:
        """Open it.

        Raises:
            VaultDamagedError: It can't be.

        """
        content = locked.Locked(source, unwrap)
        self.blocks, self.digest = content.blocks, content.digest
        self.manifest = manifest_of(content.manifest)


def manifest_of(stored: bytes) -> Manifest:
    """Read a manifest as `write` stores it."""
    listing = json.loads(stored)
    return Manifest(listing["action"], tuple(Before.load(name.encode()) for name in listing["names"]))
