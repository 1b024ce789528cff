"""A machine that boots from a disk: QEMU without KVM, one boot a process, and never for long."""

import contextlib
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from boot_image import Image

QEMU = "/usr/bin/qemu-system-x86_64"
STARTED_WITHIN = 30.0
BOOTED_WITHIN = 300.0
"""Seconds that a boot, all of it, may take; 40 are usual."""
SAID_WITHIN = 240.0
"""Seconds that a command may take."""
SHOWN = 3000
MEMORY_MB = 1024
ETHERNET = "52:54:00:12:34:56"


class MachineError(Exception):
    """The machine did not do in time what it was told; the last thing it tells is its console."""


@dataclass
class Machine:
    """One boot: a shell in it, and every frame that it sends."""

    folder: Path
    shell: socket.socket
    process: "subprocess.Popen[bytes]"
    heard: bytes = b""

    def run(self, command: str, *, code: int | None = 0) -> str:
        """Have a command of the shell run as root, and return what it said; with code None however it ended."""
        end = secrets.token_hex(8)
        self.say(f"( {command}\n) 2>&1 </dev/null; ended=$?; echo; echo {end} $ended\n")
        said, _, ended = self._hear(f"\n{end} ").rpartition(f"\n{end} ")
        if code is not None and int(ended) != code:
            raise MachineError(f"{command}: {ended} {said}", self.console)
        return said

    @property
    def console(self) -> str:
        """What it said last on its console."""
        return (self.folder / "console").read_text(encoding="utf-8", errors="replace")[-SHOWN:]

    def reboot(self) -> None:
        """Have it shut down as it does before a reboot, and wait until it has."""
        self.say("systemctl reboot\n")
        self.process.wait(BOOTED_WITHIN)

    def frames(self) -> list[bytes]:
        """Return the frames that it has sent so far (a classic pcap file: 24 bytes, then 16 before each)."""
        written, found, at = (self.folder / "frames").read_bytes(), list[bytes](), 24
        while at + 16 <= len(written):
            length = int.from_bytes(written[at + 8 : at + 12], "little")
            found.append(written[at + 16 : at + 16 + length])
            at += 16 + length
        ours = bytes.fromhex(ETHERNET.replace(":", ""))
        return [frame for frame in found if frame[6:12] == ours]

    def say(self, text: str) -> None:
        """Type something."""
        self.shell.sendall(text.encode())

    def _hear(self, mark: str) -> str:
        """Return what comes until a line with a mark is whole."""
        until = time.monotonic() + SAID_WITHIN
        while (at := self.heard.find(mark.encode())) < 0 or b"\n" not in self.heard[at + 1 :]:
            self.shell.settimeout(max(until - time.monotonic(), 0.001))
            try:
                more = self.shell.recv(65536)
            except TimeoutError:
                more = b""
            if not more:
                raise MachineError(f"it does not answer: {self.heard[-500:]!r}", self.console)
            self.heard += more
        line = self.heard.index(b"\n", at + 1) + 1
        said, self.heard = self.heard[:line], self.heard[line:]
        return said.decode(errors="replace").replace("\r", "")


@contextmanager
def booted(image: Image, folder: Path) -> Iterator[Machine]:
    """Have it boot, wait until all is started that is to be, and end it in the end.

    Raises:
        MachineError: It does not come up in time.

    """
    folder.mkdir()
    command = [
        *(QEMU, "-accel", "tcg,thread=single", "-cpu", "max", "-smp", "1", "-m", str(MEMORY_MB)),
        *("-nodefaults", "-display", "none", "-no-reboot", "-device", "virtio-rng-pci"),
        *("-kernel", str(image.kernel), "-initrd", str(image.initrd)),
        *("-append", "root=/dev/vda rw console=ttyS0 net.ifnames=0 panic=-1"),
        *("-drive", f"file={image.disk},format=raw,if=virtio,cache=writeback"),
        *("-netdev", "user,id=net", "-device", f"virtio-net-pci,netdev=net,mac={ETHERNET}"),
        *("-object", f"filter-dump,id=frames,netdev=net,file={folder / 'frames'}"),
        *("-serial", f"file:{folder / 'console'}", "-serial", f"unix:{folder / 'shell'}"),
    ]
    with socket.socket(socket.AF_UNIX) as shells:
        shells.bind(str(folder / "shell"))
        shells.listen()
        shells.settimeout(STARTED_WITHIN)
        with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:  # noqa: S603 - our own arguments
            try:
                with shells.accept()[0] as shell:
                    machine = Machine(folder, shell, process)
                    _come_up(machine)
                    yield machine
            finally:
                process.kill()


def _come_up(machine: Machine) -> None:
    """Wait until somebody answers, and all is started; what is said before the shell is there is lost."""
    until = time.monotonic() + BOOTED_WITHIN
    machine.shell.settimeout(2)
    while b"hello" not in machine.heard:
        if time.monotonic() > until:
            raise MachineError("it does not boot", machine.console)
        machine.say("echo hello\n")
        with contextlib.suppress(TimeoutError):
            machine.heard += machine.shell.recv(65536)
    machine.run("systemctl is-system-running --wait", code=None)
