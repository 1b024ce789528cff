"""Opening the vaults of a lost device with the deployment's recovery key: `quell-agent recover`."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from quell_agent import files
from quell_agent.vault_file import manifest_of
from quell_runtime.recovery import recover

PROGRAM = "quell-agent recover"


def main(arguments: Sequence[str]) -> int:
    """Recover all that opens; print a line of JSON for each file, and return the exit code."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description="Opens vaults of a lost device.")
    parser.add_argument("--data", type=Path, required=True, help="the data folder of the lost agent")
    parser.add_argument("--vault", type=Path, action="append", default=[], help="a vault of it on another mount")
    parser.add_argument("--key", type=Path, required=True, help="the deployment's recovery key (recovery.pem)")
    parser.add_argument("--to", type=Path, required=True, help="the folder to write to; made if it is not there")
    asked = parser.parse_args(arguments)
    return recover(PROGRAM, lambda: _locked([asked.data / "vault", *asked.vault]), asked.key, asked.to, _told)


def _locked(vaults: Sequence[Path]) -> Iterator[Path]:
    for vault in vaults:
        yield from sorted(path for path in vault.iterdir() if path.suffix == ".sealed")


def _told(_sha256: str, stored: bytes) -> dict[str, object]:
    manifest = manifest_of(stored)
    paths = [files.shown(name.path) for name in manifest.names]
    return {"action": manifest.action.removeprefix("actions/"), "paths": paths}
