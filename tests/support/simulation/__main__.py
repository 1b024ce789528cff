"""Run seeds, and print one line of JSON for each: `python -m simulation 7`, `python -m simulation 100 --count 50`."""

import argparse
import json
import sys

from simulation.bugs import BUGS
from simulation.nodes import Kinds
from simulation.run import run


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(prog="simulation")
    parser.add_argument("seed", type=int)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--bug", choices=sorted(BUGS))
    parser.add_argument("--trace", action="store_true")
    asked = parser.parse_args()
    for seed in range(asked.seed, asked.seed + asked.count):
        found = run(seed, BUGS[asked.bug]() if asked.bug else Kinds())
        if asked.trace:
            sys.stdout.write("\n".join(found.trace) + "\n")
        told = {"seed": seed, "violations": found.violations, "trace": len(found.trace)}
        sys.stdout.write(json.dumps(told | vars(found.counts)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
