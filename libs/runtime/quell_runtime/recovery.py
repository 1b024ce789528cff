"""Opening what lies under lock with the deployment's recovery key, where who kept it is lost.

Every locked file is written, whole and checked, to a folder under its SHA-256, readable by nobody else and not
executable: what was quarantined once is not put back in its place by this.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from quell_runtime.data_keys import recovered
from quell_runtime.locked import Locked, VaultDamagedError

SOME_DID_NOT_OPEN, WRONG = 1, 2
Tell = Callable[[str, bytes], Mapping[str, object]]
"""What is known of a file, by its SHA-256 and its manifest."""


def recover(program: str, locked: Callable[[], Iterable[Path]], key: Path, to: Path, tell: Tell) -> int:
    """Recover all that opens; print a line of JSON for each file, and return the exit code of `program`."""
    try:
        private = _private(key)
        found = list(locked())
        to.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{program}: {error}\n")
        return WRONG
    failed = [path for path in found if not _recover(program, path, private, to, tell)]
    return SOME_DID_NOT_OPEN if failed else 0


def _private(path: Path) -> bytes:
    key = load_pem_private_key(path.read_bytes(), None)
    if isinstance(key, X25519PrivateKey):
        return key.private_bytes_raw()
    raise ValueError("it is no recovery key")


def _recover(program: str, path: Path, private: bytes, to: Path, tell: Tell) -> bool:
    """Write one file; tell whether it opened."""
    part = to / f"{path.stem}.part"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as source:
            locked = Locked(source, lambda wraps: recovered(wraps, private))
            sha256 = _write(locked, part)
    except (OSError, VaultDamagedError) as error:
        part.unlink(missing_ok=True)
        sys.stderr.write(f"{program}: {path}: {error}\n")
        return False
    part.rename(to / sha256)
    sys.stdout.write(json.dumps({"sha256": sha256, **tell(sha256, locked.manifest)}) + "\n")
    return True


def _write(locked: Locked, part: Path) -> str:
    """Write the content durably; return its SHA-256."""
    digest = hashlib.sha256()
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as out:
        for block in locked.blocks():
            digest.update(block)
            out.write(block)
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()
