"""Our processes as children: started in order, restarted when they die, drained in reverse order, never orphaned."""

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from quell_runtime.errors import PortTakenError, StateError

PR_SET_PDEATHSIG = 1
READY_WITHIN = 60.0
DRAIN_WITHIN = 20.0
RESTART_AFTER = 1.0


class StartFailedError(StateError):
    """A process did not come up."""

    reason = "START_FAILED"


def check_ports(ports: Sequence[int]) -> None:
    """See that every port can be had.

    Raises:
        PortTakenError: One can't.

    """
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                raise PortTakenError(
                    f"port {port} is taken: stop who listens there, or choose others with --port"
                ) from None


def _die_with_parent() -> None:
    """Have the kernel end the child if we are killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _environment() -> dict[str, str]:
    """Return ours without `QUELL_...`: each process would take a key that is there as its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("QUELL_")}


@dataclass(slots=True)
class Child:
    """One of our processes: `python -m MODULE --config FILE`."""

    name: str
    module: str
    config: Path
    log: Path
    process: asyncio.subprocess.Process | None = field(default=None, repr=False)

    async def start(self) -> None:
        """Start it and wait until it says that it is ready.

        Raises:
            StartFailedError: It ended, or said nothing in time; the message is its own last line.

        """
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                self.module,
                "--config",
                str(self.config),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=_environment(),
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        assert self.process.stdout is not None  # noqa: S101 - it was asked for
        try:
            line = await asyncio.wait_for(self.process.stdout.readline(), READY_WITHIN)
        except TimeoutError:
            line = b""
        if line.strip() != b"ready":
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), RESTART_AFTER)
            raise StartFailedError(f"{self.name} did not start: {self._last_words()}")

    async def stop(self) -> None:
        """Have it drain and end; kill it if it won't."""
        if self.process is None or self.process.returncode is not None:
            return
        self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), DRAIN_WITHIN)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()

    def _last_words(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"{lines[-1][:300] if lines else 'it said nothing'} (see {self.log})"


async def watch(child: Child, tell: Callable[[str], None]) -> None:
    """Start a process again whenever it ends by itself, until cancelled."""
    while True:
        assert child.process is not None  # noqa: S101 - it was started
        code = await child.process.wait()
        tell(f"{child.name} ended with {code}; it is started again")
        await asyncio.sleep(RESTART_AFTER)
        try:
            await child.start()
            tell(f"{child.name} is ready")
        except StartFailedError as error:
            tell(error.message)
