"""One of our processes as it is, but that it dies where it is told to: `python mortal.py MODULE --config FILE.toml`.

Its fate stands in `FILE.fate`: the name of a point, at which hit of it, and who is killed there, as a power cut would.
Without such a file every point is passed. Whoever dies takes the file along, so that a fate comes true once.
"""

import contextlib
import importlib
import json
import os
import signal
import sys
from collections import Counter
from functools import partial
from pathlib import Path


class Fate:
    """What happens at points."""

    def __init__(self, path: Path) -> None:
        """Read it at every point anew."""
        self._path = path
        self._hits: Counter[tuple[str, float]] = Counter()

    def __call__(self, name: str) -> None:
        """Pass a point, or die at it."""
        with contextlib.suppress(FileNotFoundError):
            told = json.loads(self._path.read_text())
            if told["point"] != name:
                return
            self._hits[name, told["number"]] += 1
            if self._hits[name, told["number"]] == told["hit"]:
                self._path.unlink()
                os.kill(told["victim"] or os.getpid(), signal.SIGKILL)


def main() -> int:
    """Run the process."""
    name = sys.argv.pop(1)
    program = importlib.import_module(f"{name}.__main__")
    # The agent's entry loads what it is made of when it runs.
    made = program if hasattr(program, "serve") else importlib.import_module(f"{name}.agent")
    fate = Fate(Path(sys.argv[2]).with_suffix(".fate"))
    setattr(made, "serve", partial(made.serve, point=fate))  # noqa: B010 - each of them has one
    result: int = program.main()
    return result


if __name__ == "__main__":
    sys.exit(main())
