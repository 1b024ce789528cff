"""Opening the vaults of a lost device with the deployment's recovery key: `quell-agent recover`.

Every file under lock is written, whole and checked, to a folder under its SHA-256, readable by nobody else and not
executable: what was quarantined once is not put back in its place by this.
"""

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from quell_agent import files
from quell_agent.vault_file import VaultFile
from quell_runtime.data_keys import recovered
from quell_runtime.locked import VaultDamagedError

SOME_DID_NOT_OPEN, WRONG = 1, 2


def main(arguments: Sequence[str]) -> int:
    """Recover all that opens; print a line of JSON for each file, and return the exit code."""
    parser = argparse.ArgumentParser(prog="quell-agent recover", description="Opens vaults of a lost device.")
    parser.add_argument("--data", type=Path, required=True, help="the data folder of the lost agent")
    parser.add_argument("--vault", type=Path, action="append", default=[], help="a vault of it on another mount")
    parser.add_argument("--key", type=Path, required=True, help="the deployment's recovery key (recovery.pem)")
    parser.add_argument("--to", type=Path, required=True, help="the folder to write to; made if it is not there")
    asked = parser.parse_args(arguments)
    try:
        private = _private(asked.key)
        found = list(_locked([asked.data / "vault", *asked.vault]))
        asked.to.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"quell-agent recover: {error}\n")
        return WRONG
    failed = [path for path in found if not _recover(path, private, asked.to)]
    return SOME_DID_NOT_OPEN if failed else 0


def _private(path: Path) -> bytes:
    key = load_pem_private_key(path.read_bytes(), None)
    if isinstance(key, X25519PrivateKey):
        return key.private_bytes_raw()
    raise ValueError("it is no recovery key")


def _locked(vaults: Sequence[Path]) -> Iterator[Path]:
    for vault in vaults:
        yield from sorted(path for path in vault.iterdir() if path.suffix == ".sealed")


def _recover(path: Path, private: bytes, to: Path) -> bool:
    """Write one file; tell whether it opened."""
    part = to / f"{path.stem}.part"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as source:
            locked = VaultFile(source, lambda wraps: recovered(wraps, private))
            sha256 = _write(locked, part)
    except (OSError, VaultDamagedError) as error:
        part.unlink(missing_ok=True)
        sys.stderr.write(f"quell-agent recover: {path}: {error}\n")
        return False
    part.rename(to / sha256)
    manifest = locked.manifest
    told = {
        "sha256": sha256,
        "action": manifest.action.removeprefix("actions/"),
        "paths": [files.shown(name.path) for name in manifest.names],
    }
    sys.stdout.write(json.dumps(told) + "\n")
    return True


def _write(locked: VaultFile, part: Path) -> str:
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
