"""What stays on disk while a device is isolated: a script that isolates it at boot, and what the tables were like.

The script is at once the mark of whose isolation it is: its first lines say for which action, and by which order.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from quell.remediation.v1 import device_pb2

from quell_agent.isolation.tables import Made

SCRIPT, MADE = "isolation.nft", "made.json"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
ABOUT = "# This device is isolated by Quell. `nft -f` of this file isolates it again."


@dataclass(frozen=True, slots=True)
class Saved:
    """An isolation: the bare id of the action that made it, and what was ordered."""

    action: str
    order: device_pb2.IsolateDevice

    @property
    def text(self) -> str:
        """Return it as text, for a journal."""
        return json.dumps({"action": self.action, "order": self.order.SerializeToString(deterministic=True).hex()})

    @classmethod
    def parse(cls, text: str) -> "Saved":
        """Return what `text` was made of.

        Raises:
            ValueError: It was not.

        """
        held = json.loads(text)
        try:
            return cls(held["action"], device_pb2.IsolateDevice.FromString(bytes.fromhex(held["order"])))
        except Exception as error:
            raise ValueError("not an isolation") from error


class State:
    """The folder."""

    def __init__(self, folder: Path) -> None:
        """Use a folder, which only we can read."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder

    def saved(self) -> Saved | None:
        """Return what the script says whose it is; None: there is none, or it is not as we wrote it."""
        lines = self._read(SCRIPT).splitlines()
        try:
            return Saved.parse(lines[1].removeprefix("# "))
        except (IndexError, ValueError):
            return None

    @property
    def script(self) -> str | None:
        """The script without whose it is; None: there is no file."""
        if not (self._folder / SCRIPT).exists():
            return None
        return "".join(self._read(SCRIPT).splitlines(keepends=True)[2:])

    def save(self, saved: Saved, script: str) -> None:
        """Keep a script for the next boot, so that no crash takes it away again."""
        self._write(SCRIPT, f"{ABOUT}\n# {saved.text}\n{script}")

    def forget(self) -> None:
        """Isolate no more at the next boot."""
        self._drop(SCRIPT)

    def made(self) -> Mapping[str, Made]:
        """Return what was made of the tables, by namespace, since this boot; empty: it is not known."""
        with contextlib.suppress(ValueError, KeyError, TypeError):
            held = json.loads(self._read(MADE))
            if held["boot"] == _boot():
                return {space: Made(**made) for space, made in held["made"].items()}
        return {}

    def keep_made(self, made: Mapping[str, Made]) -> None:
        """Keep how the tables are."""
        self._write(MADE, json.dumps({"boot": _boot(), "made": {space: asdict(each) for space, each in made.items()}}))

    def forget_made(self) -> None:
        """Know nothing of the tables: they are about to change."""
        self._drop(MADE)

    def _read(self, name: str) -> str:
        try:
            return (self._folder / name).read_text("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def _write(self, name: str, text: str) -> None:
        fresh = self._folder / f"{name}.new"
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:  # noqa: PTH123 - the mode is set at once
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(self._folder / name)
        self._sync()

    def _drop(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            (self._folder / name).unlink()
            self._sync()

    def _sync(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _boot() -> str:
    return BOOT_ID.read_text("ascii").strip()
