"""The policy on disk: what every guard is born with, and the next boot begins with. No file: nothing is ordered."""

import os
from pathlib import Path

from quell_agent.execution.policy import Policy

POLICY = "policy.json"


class BrokenError(Exception):
    """There is a file, and no policy can be read from it."""


def read(folder: Path) -> Policy:
    """Return what is saved.

    Raises:
        FileNotFoundError: Nothing is.
        BrokenError: It can't be read.

    """
    try:
        return Policy.load((folder / POLICY).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BrokenError(f"{folder / POLICY}: {type(error).__name__}: {error}") from None


def write(folder: Path, policy: Policy) -> None:
    """Save a policy, so that no crash takes it away again."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = folder / f"{POLICY}.new"
    with new.open("w", encoding="utf-8") as out:
        out.write(policy.dump())
        out.flush()
        os.fsync(out.fileno())
    new.rename(folder / POLICY)
    _sync(folder)


def forget(folder: Path) -> None:
    """Have nothing saved."""
    try:
        (folder / POLICY).unlink()
    except FileNotFoundError:
        return
    _sync(folder)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
