"""A boot as the restriction sees it: guardian and kernel's setting are gone, and systemd starts the unit."""

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from quell_agent.execution import memfd
from quell_agent.execution.control import Control

UNIT = Path(__file__).parents[2] / "deploy/systemd/quell-agent-restriction.service"
FOLDER = "/var/lib/quell-agent/execution"
LIMIT = 40


@dataclass(frozen=True)
class Unit:
    """The unit, with another folder, and where file systems are watched. `unguarded` is the agent's configuration."""

    folder: Path
    root: str
    unguarded: str = "open"

    def is_wanted(self) -> bool:
        """Tell whether systemd would start it."""
        wanted = re.findall(r"^ConditionPathExists=(.+)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)
        assert len(wanted) == 2
        return all(Path(each.replace(FOLDER, str(self.folder))).exists() for each in wanted)

    def start(self) -> str:
        """Start it as systemd does, with each line of it; return what it said, which ends with how it ended."""
        if not self.is_wanted():
            return "not wanted"
        said = ""
        for command in self.commands():
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)  # noqa: S603 - ours
            said += done.stderr
            if done.returncode:
                return f"{said}failed"
        return f"{said}started"

    def commands(self) -> list[list[str]]:
        """Return its commands."""
        config = self.folder.parent / "agent.toml"
        config.write_text(f'data = "{self.folder.parent}"\nunguarded = "{self.unguarded}"\n', encoding="utf-8")
        here = {"/opt/quell-agent/bin/python": sys.executable, "/etc/quell-agent/agent.toml": str(config)}
        here |= {FOLDER: str(self.folder), "/": self.root}
        lines = re.findall(r"^ExecStart(?:Pre)?=(.+)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)
        return [[here.get(word, word) for word in line.split()] for line in lines]


async def reboot(folder: Path, root: str) -> None:
    """Have everything gone that does not outlive the kernel."""
    control = Control(folder, root)
    status = await control.status()
    assert status is not None
    os.kill(status.guardian, signal.SIGKILL)
    while not control.is_gone():
        os.sched_yield()
    if memfd.is_there():
        memfd.write(0)
