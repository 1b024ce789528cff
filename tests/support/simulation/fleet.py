"""Many seeds at once: processes of their own, where sets of texts have one order, so that a seed replays exactly."""

import json
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SUPPORT = Path(__file__).parent.parent
Told = dict[str, Any]
SHARE = 25
"""Seeds that one process runs after each other."""


@dataclass
class Tally:
    """What all seeds went through, and which of them broke a promise."""

    broken: dict[int, list[str]] = field(default_factory=dict)
    totals: Counter[str] = field(default_factory=Counter)
    passed: Counter[str] = field(default_factory=Counter)
    died: Counter[str] = field(default_factory=Counter)

    def add(self, told: Told) -> None:
        """Count one seed."""
        if told["violations"]:
            self.broken[told["seed"]] = told["violations"]
        self.passed.update(told["passed"])
        self.died.update(told["died"])
        for name in ("crashes", "partitions", "restores", "lines", "actions", "changes", "days"):
            self.totals[name] += told[name]
        self.totals["seeds"] += 1


def _call(first: int, count: int, *options: str) -> str:
    called = [sys.executable, "-m", "simulation", str(first), "--count", str(count), *options]
    environment = os.environ | {"PYTHONHASHSEED": "0", "PYTHONPATH": str(SUPPORT)}
    ended = subprocess.run(called, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - ourselves
    if ended.returncode:
        raise RuntimeError(ended.stderr)
    return ended.stdout


def run(first: int, count: int, *options: str) -> list[Told]:
    """Run some seeds in a process, and return what it told of each."""
    return [json.loads(line) for line in _call(first, count, *options).splitlines() if line.startswith("{")]


def trace(seed: int) -> str:
    """Return all that happens in a seed."""
    return _call(seed, 1, "--trace")


def run_many(first: int, count: int) -> Tally:
    """Run many seeds on every processor."""
    tally = Tally()
    shares = [(start, min(SHARE, first + count - start)) for start in range(first, first + count, SHARE)]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for told in pool.map(lambda share: run(*share), shares):
            for one in told:
                tally.add(one)
    return tally
