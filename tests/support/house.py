"""A whole deployment as processes of its own, as `quell up` starts it."""

import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]
QUELL = Path(sys.executable).with_name("quell")
READY_WITHIN = 60


@dataclass(frozen=True)
class House:
    """Where a deployment runs. `started` is what `quell up` said until it was whole."""

    folder: Path
    port: int
    process: "subprocess.Popen[str]"
    started: tuple[str, ...]

    def quell(self, *arguments: str, person: str = "ann") -> subprocess.CompletedProcess[str]:
        """Run the command line against it."""
        command: list[str | Path] = [QUELL, "--data", self.folder, "--as", person, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603


def free_ports(count: int = 6) -> int:
    """Return the first of some ports in a row that nobody listens on."""
    # Below those that the kernel hands out for connections: nobody else takes one between this look and its use.
    for first in random.sample(range(20000, 32752, 16), 700):
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise OSError("no ports are free")


@contextmanager
def up(folder: Path, port: int) -> Iterator[House]:
    """Have a deployment running; it is stopped by Ctrl-C's signal."""
    command: list[str | Path] = [QUELL, "up", "--data", folder, "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # noqa: S603
    assert process.stdout is not None
    try:
        yield House(folder, port, process, tuple(_until_whole(process.stdout)))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.stdout.read()
        process.wait(timeout=60)
        process.stdout.close()


def _until_whole(output: IO[str]) -> Iterator[str]:
    for line in output:
        yield line.rstrip()
        if "Ctrl-C stops it" in line:
            return
    raise AssertionError("quell up ended before it was whole")
