"""Pigeonhole's own `sieve-test` as the judge of scripts: it tells what they would do with a message."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

MESSAGE = b"""\
From: Sender <sender@else.test>
To: ann@corp.test
Subject: report

hello
"""
CONFIG = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = /dev/stderr
mail_location = maildir:{folder}/mail
mail_home = {folder}
mail_uid = {user}
mail_gid = {user}
first_valid_uid = 0
first_valid_gid = 0
plugin {{
  sieve_extensions = +notify +vnd.dovecot.report
  sieve_max_redirects = 100
  sieve = file:{folder}/sieve;active={folder}/.dovecot.sieve
  sieve_global = {folder}/global
}}
"""
NOBODY = 65534
FOLDER = r"store message in folder: (.*)"


@dataclass(frozen=True)
class Actions:
    """What a script does with the message: addresses that get it, or are told of it, and folders that it ends in."""

    redirects: frozenset[str] = frozenset()
    told: frozenset[str] = frozenset()
    folders: frozenset[str] = frozenset()
    cancelling: frozenset[str] = frozenset()
    """What the script does after which the message is not kept by itself: addresses, folders, `discard`."""
    failed: bool = False


class SieveJudge:
    """Asks `sieve-test`."""

    def __init__(self, folder: Path) -> None:
        """Work in a folder that anybody may enter."""
        self.folder = folder
        user = NOBODY if os.geteuid() == 0 else os.geteuid()
        (folder / "sieve").mkdir()
        (folder / "mail.eml").write_bytes(MESSAGE)
        (folder / "dovecot.conf").write_text(CONFIG.format(folder=folder, user=user))
        if os.geteuid() == 0:
            for path in (folder, folder / "sieve"):
                os.chown(path, user, user)

    def include(self, name: str, script: bytes) -> None:
        """Have a script of the user's that others can include."""
        (self.folder / "sieve" / f"{name}.sieve").write_bytes(script)

    def actions(self, script: bytes) -> Actions:
        """Run a script; a script that can't be compiled fails the test."""
        code, text = self._run(script)
        assert "failed to compile" not in text, text
        said, _, by_itself = text.partition("Implicit keep:")
        found: dict[str, set[str]] = {"redirects": set(), "told": set(), "folders": set(), "cancelling": set()}
        for block in re.split(r"^ \* ", said, flags=re.MULTILINE)[1:]:
            what, whom = _read(block)
            found[what] |= whom
            if what != "told" and "preserve implicit keep" not in block:
                found["cancelling"] |= whom
        found["folders"] |= set(re.findall(FOLDER, by_itself))
        return Actions(**{name: frozenset(values) for name, values in found.items()}, failed=code != 0)

    def compiles(self, script: bytes) -> bool:
        """Tell whether the server accepts a script."""
        return "failed to compile" not in self._run(script)[1]

    def _run(self, script: bytes) -> tuple[int, str]:
        path = self.folder / "judged.sieve"
        path.write_bytes(script)
        command = ["sieve-test", "-C", "-c", f"{self.folder}/dovecot.conf", str(path), f"{self.folder}/mail.eml"]
        done = subprocess.run(command, capture_output=True, timeout=20, check=False)  # noqa: S603 - made here
        return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")


def _read(block: str) -> tuple[str, set[str]]:
    """Return which field of the actions a line tells of, and what it adds there."""
    if match := re.match(r"redirect message to: <(.*)>", block):
        return "redirects", {match[1]}
    if match := re.match(FOLDER, block):
        return "folders", {match[1]}
    if match := re.match(r"report incoming message as .* to: <(.*)>", block):
        return "told", {match[1]}
    if block.startswith("discard"):
        return "cancelling", {"discard"}
    return "told", set(re.findall(r"\+ (?:To|Cc|Bcc): (.*)", block))


@contextmanager
def judging() -> Iterator[SieveJudge]:
    """Have a judge, if Pigeonhole is here."""
    if not shutil.which("sieve-test"):
        pytest.skip("sieve-test is not here: apt-get install dovecot-sieve")
    with tempfile.TemporaryDirectory() as folder:
        yield SieveJudge(Path(folder))
