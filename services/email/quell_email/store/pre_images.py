"""What was there before we turned forwarding off, in files of ours: enough to give it back if every journal is lost.

A file an item, named by the digest of its key; it is there before anything is changed, and goes when all is back.
"""

import hashlib
import json
import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

import structlog
from google.protobuf.message import DecodeError
from quell.journal.v1 import plan_pb2
from quell.remediation.v1 import remediation_pb2

from quell_email.files import directory, listed, read_text, write_durably
from quell_executor.effect import Mark, PlannedItem
from quell_executor.parts import decode_item, encode_item

log = structlog.get_logger()
SUFFIX = ".json"


class PreImages:
    """The files in one folder, which is made if it is not there."""

    def __init__(self, folder: Path) -> None:
        """Keep them there."""
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def enter(self, action: str, remediation: remediation_pb2.Remediation, item: PlannedItem) -> None:
        """Keep what an item replaces, for an action by its bare id; it takes the place of what the key had."""
        held = {
            "action": action,
            "remediation": remediation.SerializeToString().hex(),
            "item": encode_item(item).SerializeToString().hex(),
        }
        with directory(self._folder) as folder:
            write_durably(_name(item.key), json.dumps(held).encode(), folder)
            os.fsync(folder)

    def drop(self, key: str) -> None:
        """Forget what an item replaced."""
        with directory(self._folder) as folder, suppress(FileNotFoundError):
            os.unlink(_name(key), dir_fd=folder)
            os.fsync(folder)

    def of(self, keys: Collection[str]) -> dict[str, Mark]:
        """Return what is kept of these items, by key."""
        with directory(self._folder) as folder:
            found = [mark for key in keys if (mark := _read(_name(key), folder))]
        return {mark.item.key: mark for mark in found}

    def all(self) -> Sequence[Mark]:
        """Return all that is kept."""
        with directory(self._folder) as folder:
            names = sorted(name for name in listed(folder) if name.endswith(SUFFIX))
            return [mark for name in names if (mark := _read(name, folder))]


def _name(key: str) -> str:
    return f"{hashlib.sha256(key.encode()).hexdigest()}{SUFFIX}"


def _read(name: str, folder: int) -> Mark | None:
    text = read_text(name, folder)
    if text is None:
        return None
    try:
        held = json.loads(text)
        remediation = remediation_pb2.Remediation.FromString(bytes.fromhex(held["remediation"]))
        item = plan_pb2.PlannedItem.FromString(bytes.fromhex(held["item"]))
        return Mark(held["action"], remediation, decode_item(item))
    except (ValueError, KeyError, TypeError, DecodeError):
        log.warning("pre_image_damaged", file=name)
        return None
