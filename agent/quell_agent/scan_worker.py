"""A process that knows YARA: it compiles a folder of rules, or reads files against compiled ones.

Run by the agent, which never loads YARA itself: `compile FOLDER TARGET` and `scan COMPILED PERCENT`. Told to scan, it
reads lines of paths (a JSON list each) until its input ends, and answers each by a line of what it saw: whether the
file was read, and if rules match it, their names, the file's SHA-256 and its size.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path

import yara_x

from quell_agent import files

LARGEST = 256 << 20
"""A larger file is passed over: malware is small, and disk images and sparse giants are not."""
FILE_SECONDS = 60
COMPILE_SECONDS = 120
Seen = tuple[bool, list[str], str, int]


def compiled(folder: Path, target: Path) -> dict[str, str]:
    """Compile every rule file that is whole into one; return what is wrong with the others, by file name."""
    whole, bad = yara_x.Compiler(includes_enabled=False), {}
    for path in sorted(folder.glob("*.yar*")):
        try:
            text = path.read_text(encoding="utf-8")
            alone = yara_x.Compiler(includes_enabled=False)
            alone.add_source(text)
            alone.build()
        except (OSError, UnicodeDecodeError, yara_x.CompileError) as error:
            bad[path.name] = str(error).partition("\n")[0][:200]
            continue
        whole.new_namespace(path.name)
        whole.add_source(text)
    part = target.with_suffix(".part")
    with part.open("wb") as out:
        whole.build().serialize_into(out)
    part.rename(target)
    return bad


class Scanner:
    """Reads files, at a share of one processor core."""

    def __init__(self, rules: Path, percent: int) -> None:
        """Load compiled rules."""
        with rules.open("rb") as source:
            self._scanner = yara_x.Scanner(yara_x.Rules.deserialize_from(source))
        self._scanner.set_timeout(FILE_SECONDS)
        self._rest = 100 / percent - 1

    def look(self, path: str) -> Seen:
        """Read one file; then rest as long as the share asks for."""
        started = time.thread_time()
        try:
            return self._look(path)
        except (OSError, files.NotAFileError, yara_x.ScanError, yara_x.TimeoutError):
            return (False, [], "", 0)
        finally:
            time.sleep((time.thread_time() - started) * self._rest)

    def _look(self, path: str) -> Seen:
        parent, _, name = path.rpartition("/")
        with files.opened_folder(parent or "/") as folder, files.opened_file(folder, name) as file:
            size = os.fstat(file).st_size
            if not 0 < size <= LARGEST:
                return size == 0, [], "", size
            seen = self._scanner.scan_file(f"/proc/self/fd/{file}")
            rules = [rule.identifier for rule in seen.matching_rules]
            digest = files.content_of(file).sha256 if rules else ""
            return True, rules, digest, size


def main() -> None:
    """Do as the arguments say."""
    os.nice(10)
    what, first, second = sys.argv[1:]
    if what == "compile":
        resource.setrlimit(resource.RLIMIT_CPU, (COMPILE_SECONDS, COMPILE_SECONDS))
        sys.stdout.write(json.dumps(compiled(Path(first), Path(second))))
        return
    scanner = Scanner(Path(first), int(second))
    for line in sys.stdin:
        sys.stdout.write(json.dumps([scanner.look(path) for path in json.loads(line)]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
