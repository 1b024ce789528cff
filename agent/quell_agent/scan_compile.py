"""A folder of rules made into one compiled file: each is tried alone first, so that a bad one spoils no other.

Run in a worker process, which a rule file may end (by what it costs, or by a flaw of the compiler): it says before each
which one it is at, and no name before all of them together.
"""

import json
import resource
import sys
from pathlib import Path

import yara_x

REASON_CHARACTERS = 200


def compiled(folder: Path, target: Path, without: set[str], seconds: int) -> dict[str, str]:
    """Compile every rule file that is whole into one; return what is wrong with the others, by file name.

    A file that takes more than so many seconds of the processor ends the process.
    """
    whole, bad = yara_x.Compiler(includes_enabled=False), {}
    for path in sorted(folder.glob("*.yar*")):
        if path.name in without:
            continue
        _say(path.name)
        _allow(seconds)
        try:
            text = path.read_text(encoding="utf-8")
            alone = yara_x.Compiler(includes_enabled=False)
            alone.add_source(text)
            alone.build()
        except (OSError, UnicodeDecodeError, yara_x.CompileError) as error:
            bad[path.name] = str(error).partition("\n")[0][:REASON_CHARACTERS]
            continue
        whole.new_namespace(path.name)
        whole.add_source(text)
    _say("")
    _allow(10 * seconds)
    part = target.with_suffix(".part")
    with part.open("wb") as out:
        whole.build().serialize_into(out)
    part.rename(target)
    return bad


def _say(name: str) -> None:
    sys.stdout.write(json.dumps(name) + "\n")
    sys.stdout.flush()


def _allow(seconds: int) -> None:
    """Let the process use so much of the processor from now on."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    most = int(usage.ru_utime + usage.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))
