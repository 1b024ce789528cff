"""How long it takes to stop and quarantine a running file, and how a scan compares to yara-x alone on the same."""

import asyncio
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import yara_x
from quell.remediation.v1 import device_pb2, item_pb2, target_pb2

from quell_agent.effects.run_antivirus_scan import RunAntivirusScan
from quell_agent.effects.stop_and_quarantine import Machine, StopAndQuarantine
from quell_agent.persistence.find import Persistence
from quell_agent.persistence.places import Places
from quell_agent.processes import Processes
from quell_agent.protected import Protected
from quell_agent.scan import Rules
from quell_agent.scan_places import files_in
from quell_agent.search import Search
from quell_agent.vault import Vaults
from quell_agent.vault_file import VaultKeys
from quell_executor.progress import Silent

FILE_BYTES = 50 << 20
TREE = Path("/usr/lib/x86_64-linux-gnu")
RULE = """rule r{0} {{
  strings:
    $a = "EICAR-STANDARD-ANTIVIRUS-{0}" nocase
    $b = {{ 6a {1:02x} 58 0f 05 [2-8] {2:02x} c3 }}
    $c = /https?:\\/\\/[a-z0-9]{{4,20}}{0}\\.example/
  condition: any of them
}}
"""
RULES = 2000
"""About as many as public collections have, and as costly."""


async def quarantine() -> float:
    """Return the seconds from the order to the probe that sees it done, with the looks that the kit takes between.

    A file of 50 MB that runs three times, on the whole machine's processes and places.
    """
    with tempfile.TemporaryDirectory() as folder:
        (data := Path(folder, "data")).mkdir()
        evil = Path(folder, "evil")
        shutil.copy("/bin/sleep", evil)
        with evil.open("ab") as out:  # noqa: ASYNC230 - a benchmark
            out.write(secrets.token_bytes(FILE_BYTES))
        running = [subprocess.Popen([evil, "60"]) for _ in range(3)]  # noqa: ASYNC220, S603 - ours
        try:
            effect = _effect(data)
            started = time.perf_counter()
            order = device_pb2.StopAndQuarantine(file=target_pb2.FileSelector(path=str(evil)))
            # Once to know what to lock, and once more under the locks.
            await effect.plan(order, None)
            plan = replace(await effect.plan(order, None), action="benchmark")
            await effect.probe(plan)
            await effect.apply(plan, Silent())
            findings = await effect.probe(plan)
            took = time.perf_counter() - started
            assert all(finding.state == item_pb2.ITEM_STATE_DONE for finding in findings)  # noqa: S101
            return took
        finally:
            for process in running:
                process.kill()
                process.wait()


def _effect(data: Path) -> StopAndQuarantine:
    protected = Protected(data)
    processes = Processes(protected.runs_the_machine)
    vaults = Vaults(data, VaultKeys(secrets.token_bytes(32), lambda: None))
    search = Search(vaults, processes, protected)
    return StopAndQuarantine(Machine(vaults, processes, search, Persistence(vaults, Places(), protected)))


@dataclass(frozen=True, slots=True)
class ScanRates:
    """Megabytes a second: ours with one worker at a whole core, and yara-x alone in one process, on the same files."""

    ours: float
    alone: float
    files: int
    megabytes: float


async def scan() -> ScanRates:
    """Measure both on the same files, which were read just before."""
    with tempfile.TemporaryDirectory() as folder:
        rules, cache = Path(folder, "rules.yar"), Path(folder, "cache")
        rules.write_text(  # noqa: ASYNC240 - a benchmark
            "".join(RULE.format(number, number % 256, number // 256) for number in range(RULES))
        )
        paths = list(files_in([str(TREE)]))
        size = sum(map(os.path.getsize, paths)) / 1e6
        await Rules(rules.parent, cache).compiled()
        alone = min(_alone(rules, paths) for _ in range(2))
        ours = min([await _ours(Rules(rules.parent, cache), len(paths)) for _ in range(2)])
        return ScanRates(size / ours, size / alone, len(paths), size)


def _alone(rules: Path, paths: list[str]) -> float:
    scanner = yara_x.Scanner(yara_x.compile(rules.read_text()))
    started = time.perf_counter()
    for path in paths:
        scanner.scan_file(path)
    return time.perf_counter() - started


async def _ours(rules: Rules, files: int) -> float:
    order = device_pb2.RunAntivirusScan(paths=device_pb2.PathScan(paths=[str(TREE)]), cpu_percent=100)
    started = time.perf_counter()
    reading = await RunAntivirusScan(rules, clamd=()).read("benchmark", order, Silent())
    took = time.perf_counter() - started
    assert reading.scan is not None  # noqa: S101
    assert reading.scan.scanned_files + reading.scan.skipped_files == files  # noqa: S101
    return took


def main() -> None:
    """Print the figures."""
    took = asyncio.run(quarantine())
    print(f"stop and quarantine of a running file of 50 MB: {took:.2f} s; aim < 1 s")
    rates = asyncio.run(scan())
    print(f"scan of {rates.files} files, {rates.megabytes:.0f} MB: {rates.ours:.0f} MB/s")
    print(f"yara-x alone: {rates.alone:.0f} MB/s; ratio {rates.ours / rates.alone:.2f}, aim >= 0.8")


if __name__ == "__main__":
    main()
