"""A process that knows YARA: it compiles a folder of rules, or reads files against compiled ones.

Run by the agent, which never loads YARA itself: `compile FOLDER TARGET WITHOUT SECONDS` and `scan COMPILED PERCENT
CLAMD`. Told to scan, it reads lines of paths (a JSON list each) until its input ends, and answers each by a line of
what it saw, as `scan.Seen` has it.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yara_x

from quell_agent import files
from quell_agent.scan_archives import Unpacking
from quell_agent.scan_clamd import Clamd, ClamdLostError
from quell_agent.scan_compile import compiled

LARGEST = 256 << 20
"""A larger file is passed over: malware is small, and disk images are not."""
FILE_SECONDS = 60
HITS = 200
"""More of one file are not told."""
Saw = tuple[bool, list[tuple[str, str, str]], str, int, int, bool, bool]
NOT_READ: Saw = (False, [], "", 0, 0, False, True)


class _LateError(Exception):
    """A file takes too long."""


class Scanner:
    """Reads files, at a share of one processor core."""

    def __init__(self, rules: Path, percent: int, clamd: str) -> None:
        """Load compiled rules; `clamd` is its socket, empty if it is not to be asked."""
        with rules.open("rb") as source:
            self._scanner = yara_x.Scanner(yara_x.Rules.deserialize_from(source))
        self._scanner.set_timeout(FILE_SECONDS)
        self._scanner.fast_scan(yes=True)
        self._clamd = Clamd(clamd) if clamd else None
        self._rest = 100 / percent - 1

    def look(self, path: str) -> Saw:
        """Read one file; then rest as long as the share asks for."""
        started = self._spent()
        try:
            with _alarm(FILE_SECONDS):
                return self._look(path)
        except (OSError, files.NotAFileError, yara_x.ScanError, yara_x.TimeoutError, _LateError):
            return NOT_READ
        finally:
            if self._rest:
                time.sleep((self._spent() - started) * self._rest)

    def _spent(self) -> float:
        return time.thread_time() + (self._clamd.seconds if self._clamd else 0)

    def _look(self, path: str) -> Saw:
        parent, _, name = path.rpartition("/")
        with files.opened_folder(parent or "/") as folder, files.opened_file(folder, name) as file:
            status = os.fstat(file)
            size = status.st_size
            if not size:
                return (True, [], "", 0, status.st_uid, False, True)
            if size > LARGEST or files.is_sparse_giant(status):
                return NOT_READ
            hits = [(rule, "", "yara") for rule in _rules(self._scanner.scan_file(f"/proc/self/fd/{file}"))]
            asked, known = self._known_to_clamd(file, size)
            unpacking = Unpacking()
            with os.fdopen(file, "rb", closefd=False) as source:
                for member, data in unpacking.members(source, size):
                    hits += [(rule, files.shown(member), "yara") for rule in _rules(self._scanner.scan(data))]
            hits += [(rule, "", "clamd") for rule in known]
            digest = files.content_of(file).sha256 if hits else ""
            return (True, list(dict.fromkeys(hits))[:HITS], digest, size, status.st_uid, unpacking.cut, asked)

    def _known_to_clamd(self, file: int, size: int) -> tuple[bool, list[str]]:
        """Return whether clamd could be asked, if it was to be, and what it says."""
        if self._clamd is None:
            return True, []
        try:
            return True, self._clamd.signatures(file, size)
        except ClamdLostError:
            return False, []


def _rules(results: yara_x.ScanResults) -> list[str]:
    return [rule.identifier for rule in results.matching_rules]


@contextmanager
def _alarm(seconds: int) -> Iterator[None]:
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _late(_number: int, _frame: object) -> None:
    raise _LateError


def main() -> None:
    """Do as the arguments say."""
    os.nice(10)
    what, *arguments = sys.argv[1:]
    if what == "compile":
        folder, target, without, seconds = arguments
        bad = compiled(Path(folder), Path(target), set(json.loads(without)), int(seconds))
        sys.stdout.write(json.dumps(bad) + "\n")
        return
    rules, percent, clamd = arguments
    signal.signal(signal.SIGALRM, _late)
    scanner = Scanner(Path(rules), int(percent), clamd)
    for line in sys.stdin:
        sys.stdout.write(json.dumps([scanner.look(path) for path in json.loads(line)]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
