"""Look for input that breaks a parser: `python tests/fuzz/fuzz.py TARGET SECONDS`, guided by coverage (Atheris).

What breaks one is written to `.fuzz/TARGET/`, beside what led there; both are where the next run begins.
"""

import sys
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUPPORT = ROOT / "tests" / "support"
LONGEST_BYTES = 4096
SLOWEST_S = 5


def main(arguments: list[str]) -> None:
    """Fuzz one parser for a time; the process ends with an error at the first input that breaks it."""
    name, seconds = arguments
    sys.path.insert(0, str(SUPPORT))
    # It has no types, and is installed for fuzzing only.
    atheris = import_module("atheris")
    with atheris.instrument_imports(include=["quell_email", "fuzz_targets"]):
        targets = import_module("fuzz_targets")
    corpus = ROOT / ".fuzz" / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(targets.SEEDS[name]):
        (corpus / f"seed-{number}").write_bytes(seed)
    limits = [f"-max_total_time={seconds}", f"-max_len={LONGEST_BYTES}", f"-timeout={SLOWEST_S}", "-rss_limit_mb=1024"]
    atheris.Setup(
        [name, *limits, f"-artifact_prefix={corpus}/broken-", "-print_final_stats=1", str(corpus)],
        targets.TARGETS[name],
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
