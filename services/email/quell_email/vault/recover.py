"""Opening the vault of a lost email service with the deployment's recovery key: `quell-email recover`."""

import argparse
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from quell.remediation.v1 import item_pb2

from quell_runtime.recovery import recover

PROGRAM = "quell-email recover"
HOLDING = "SELECT action, item FROM kept, json_each(kept.contents) WHERE value = ? ORDER BY take_time"


def main(arguments: Sequence[str]) -> int:
    """Recover all that opens; print a line of JSON for each content, and return the exit code."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description="Opens the vault of a lost email service.")
    parser.add_argument("--data", type=Path, required=True, help="the data folder of the lost service")
    parser.add_argument("--key", type=Path, required=True, help="the deployment's recovery key (recovery.pem)")
    parser.add_argument("--to", type=Path, required=True, help="the folder to write to; made if it is not there")
    asked = parser.parse_args(arguments)
    vault = asked.data / "vault"
    told = lambda sha256, _manifest: {"messages": _messages(vault / "vault.db", sha256)}  # noqa: E731 - one line of JSON
    return recover(PROGRAM, lambda: sorted((vault / "contents").iterdir()), asked.key, asked.to, told)


def _messages(database: Path, sha256: str) -> list[dict[str, str]]:
    """Return whose content it is, as far as the records are left: they are a copy's own, and may be lost as well."""
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as records:
            rows = records.execute(HOLDING, (sha256,)).fetchall()
    except sqlite3.Error:
        return []
    messages = [(action, item_pb2.Item.FromString(item).message) for action, item in rows]
    return [
        {"action": action, "mailbox": message.mailbox, "folder": message.folder, "message_id": message.message_id}
        for action, message in messages
    ]
