"""A deployment on this machine's loopback, which a machine inside QEMU knows as 10.0.2.2."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boot_image import GATEWAY
from gateway_elsewhere import LISTENERS, certify
from house import QUELL, free_ports
from quell_cli import deployment
from quell_cli.deployment import Folder, Ports

ENDED_WITHIN = 300.0
PEOPLE_DECIDE = ("ACTION_STATE_PENDING_APPROVAL", "ACTION_STATE_HELD")


@dataclass(frozen=True)
class Desk:
    """The deployment as people use it. `agents` is the port that devices connect to."""

    folder: Path
    agents: int

    def quell(self, *words: str, person: str = "ann") -> str:
        """Run the command line, which has to succeed, and return what it printed."""
        command: list[str | Path] = [QUELL, "--data", self.folder, "--as", person, *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - ours
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def act(self, kind: str, device: str, *how: str) -> None:
        """Have ann ask for something and bob approve it if that is needed; it has to come as asked."""
        action: Any = json.loads(self.quell("--json", "act", kind, device, "-m", "a drill", *how))
        if action["state"] in PEOPLE_DECIDE:
            self.quell("actions", "approve", action["name"], "--yes", "-m", "a drill", person="bob")
        until = time.monotonic() + ENDED_WITHIN
        while "outcome" not in action and time.monotonic() < until:
            action = json.loads(self.quell("--json", "actions", "show", action["name"]).splitlines()[0])
        assert action["state"] == "ACTION_STATE_SUCCEEDED", action


@contextmanager
def desk(root: Path) -> Iterator[Desk]:
    """Have the Action Center and the device service running; devices are told to dial us from inside QEMU."""
    folder, ports = Folder(root), Ports(free_ports())
    deployment.make(folder, ports)
    certify(folder, GATEWAY)
    config = folder.config("device").read_text(encoding="utf-8")
    for name in LISTENERS:
        told = ports.at(name).replace("127.0.0.1", GATEWAY)
        config = config.replace(f'"{ports.at(name)}"', f'"{ports.at(name)}"\naddress = "{told}"')
    folder.config("device").write_text(config, encoding="utf-8")
    with ExitStack() as stack:
        for name in ("device", "actioncenter"):
            stack.enter_context(_service(folder, name))
        yield Desk(root, int(ports.at("agents").rpartition(":")[2]))


@contextmanager
def _service(folder: Folder, name: str) -> Iterator[None]:
    command = [sys.executable, "-m", f"quell_{name}", "--config", str(folder.config(name))]
    with (
        folder.log(name).open("ab") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log) as process,  # noqa: S603 - ours
    ):
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n", folder.log(name).read_text(encoding="utf-8")[-3000:]
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
