"""A worker of a scan rests as long as its share of the processor asks for."""

import time
from pathlib import Path

import pytest

yara_x = pytest.importorskip("yara_x", reason="yara-x is not installed")

from quell_agent import scan_worker  # noqa: E402 - it needs yara-x


def rested(folder: Path, percent: int, monkeypatch: pytest.MonkeyPatch) -> tuple[float, float]:
    """Read a file at a share; return the processor time that it took, and how long the worker rested."""
    rules, file, rests = folder / "rules", folder / "file", list[float]()
    with rules.open("wb") as out:
        yara_x.compile("rule r { strings: $a = /needle[0-9]+/ condition: $a }").serialize_into(out)
    file.write_bytes(b"needle hay " * 2_000_000)
    scanner = scan_worker.Scanner(rules, percent, "")
    monkeypatch.setattr("quell_agent.scan_worker.time.sleep", rests.append)
    began = time.thread_time()
    assert scanner.look(str(file))[0]
    return time.thread_time() - began, sum(rests)


def test_a_tenth_of_a_core_is_nine_parts_of_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For each second of work nine of rest, by the processor's time and not by the clock."""
    took, rest = rested(tmp_path, 10, monkeypatch)
    assert 8 * took < rest <= 9 * took


def test_control_a_whole_core_never_rests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to leave to others."""
    took, rest = rested(tmp_path, 100, monkeypatch)
    assert took > 0
    assert rest == 0
