"""What a restriction was made of: per item what it replaced, and a file that says what of ours is in force."""

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from quell.remediation.v1 import device_pb2

from quell_agent.execution.policy import Policy

RECORD = "record.json"


@dataclass(frozen=True, slots=True)
class Before:
    """What an item replaces, and what it was ordered to be.

    `memfd`: how the kernel's setting was, in its item only. `started`: whether programs that nobody knows started.
    """

    order: device_pb2.RestrictCodeExecution
    policy: Policy
    memfd: int | None = None
    started: bool = True

    def dump(self) -> bytes:
        """Write it."""
        order = base64.b64encode(self.order.SerializeToString(deterministic=True)).decode()
        written = {"order": order, "policy": self.policy.dump(), "memfd": self.memfd, "started": self.started}
        return json.dumps(written).encode()

    @classmethod
    def load(cls, written: bytes) -> "Before":
        """Read what `dump` wrote."""
        read = json.loads(written)
        order = device_pb2.RestrictCodeExecution.FromString(base64.b64decode(read["order"]))
        return cls(order, Policy.load(read["policy"]), read["memfd"], read["started"])


@dataclass(frozen=True, slots=True)
class Record:
    """The file: by item key the action that made it so, and what the first of its row replaced."""

    folder: Path

    def read(self) -> Mapping[str, tuple[str, bytes]]:
        """Return action and `Before` by item key."""
        try:
            read = json.loads((self.folder / RECORD).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return {key: (action, before.encode()) for key, (action, before) in read.items()}

    def put(self, key: str, action: str, before: bytes) -> None:
        """Note that an action changes an item, durably. What the first replaced is kept, whoever changes it again."""
        read = dict(self.read())
        if key in read:
            first, now = Before.load(read[key][1]), Before.load(before)
            before = Before(now.order, now.policy, first.memfd, first.started).dump()
        self._write({**read, key: (action, before)})

    def drop(self, key: str) -> None:
        """Note that an item is as it was."""
        self._write({each: noted for each, noted in self.read().items() if each != key})

    def _write(self, noted: Mapping[str, tuple[str, bytes]]) -> None:
        if not noted:
            (self.folder / RECORD).unlink(missing_ok=True)
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self.folder / f"{RECORD}.new"
        with new.open("w", encoding="utf-8") as out:
            json.dump({key: (action, before.decode()) for key, (action, before) in noted.items()}, out)
            out.flush()
            os.fsync(out.fileno())
        new.rename(self.folder / RECORD)
