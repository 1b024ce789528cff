"""Processes: who runs what, since when, with which rights, open files, mapped files and environment.

Programs are hashed where they run, the deleted ones too, and not copied: a sample is what brings one in.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quell_agent import files
from quell_agent.package.item import Item, because, document, text_of
from quell_agent.package.machine import Machine
from quell_agent.package.secret import environment
from quell_agent.package.walk import LOCAL, file_system

STATUS = (
    *("Name", "State", "PPid", "TracerPid", "Uid", "Gid", "Groups", "NSpid", "VmRSS", "Threads"),
    *("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"),
)
STARTED, TERMINAL = 19, 4  # places in `/proc/[pid]/stat`, counted behind the name
LARGEST_PROGRAM = 256 << 20
PATIENCE = 2.0
"""Seconds for a look into a process's memory, which a file system of an attacker's may serve."""
MEMORY_BYTES = 1 << 20
Row = dict[str, Any]


def items(machine: Machine) -> Iterator[Item]:
    """Yield a document of each kind, over all processes."""
    proc = f"{machine.walk.root}/proc"
    pids = sorted(int(name) for name in machine.walk.names("/proc") if name.isdigit())
    if not pids:
        return
    look = _Look(proc, _boot_time(proc), {})
    yield document("processes/processes.json", "/proc/[pid]", _rows(pids, look.process))
    yield document("processes/open-files.json", "/proc/[pid]/fd", _rows(pids, look.open_files))
    yield document("processes/mapped-files.json", "/proc/[pid]/maps", _rows(pids, look.mapped_files))
    yield document("processes/environment.json", "/proc/[pid]/environ", _rows(pids, look.environment))


def _rows(pids: list[int], look: Callable[[int], Row]) -> Iterator[Row]:
    """Look at one after the other; one that has ended meanwhile is no more."""
    for pid in pids:
        try:
            yield {"pid": pid, **look(pid)}
        except (FileNotFoundError, ProcessLookupError):
            continue
        except OSError as error:
            yield {"pid": pid, "error": because(error)[1]}


class LateError(OSError):
    """A process keeps whoever looks into it waiting."""


@dataclass
class _Look:
    proc: str
    boot_time: float
    programs: dict[tuple[int, int], str]
    thread: ThreadPoolExecutor | None = None

    def process(self, pid: int) -> Row:
        stat = Path(f"{self.proc}/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        status = Path(f"{self.proc}/{pid}/status").read_bytes()
        fields = dict(re.findall(rb"^(\w+):\t(.*)$", status, re.MULTILINE))
        started = self.boot_time + int(stat[STARTED]) / os.sysconf("SC_CLK_TCK")
        row: Row = {name: text_of(fields[name.encode()]) for name in STATUS if name.encode() in fields}
        row |= {"start_time": started, "terminal": int(stat[TERMINAL])}
        row |= {name: self._link(pid, name) for name in ("exe", "cwd", "root", "ns/net", "ns/mnt", "ns/pid", "ns/user")}
        for name in ("cgroup", "loginuid", "attr/current"):
            with suppress(OSError):
                row[name] = text_of(Path(f"{self.proc}/{pid}/{name}").read_bytes().rstrip(b"\0\n"))
        with suppress(OSError):
            row["command_line"] = [text_of(word) for word in self._memory(pid, "cmdline").split(b"\0")[:-1]]
        if row["exe"]:
            row["deleted"] = row["exe"].endswith(" (deleted)")
            row["sha256"] = self._digest(pid)
        return row

    def open_files(self, pid: int) -> Row:
        names = sorted(os.listdir(f"{self.proc}/{pid}/fd"), key=int)  # noqa: PTH208 - names are all that is wanted
        return {"files": {name: self._link(pid, f"fd/{name}") for name in names}}

    def mapped_files(self, pid: int) -> Row:
        """Return the mapped files, and how many pages that no file is behind may be both written and run."""
        mapped, writable_code = dict[str, str](), 0
        for line in self._memory(pid, "maps").splitlines():
            parts = line.split(maxsplit=5)
            name = text_of(parts[5]) if len(parts) > 5 else ""  # noqa: PLR2004 - the last field is not always there
            rights = parts[1].decode()
            if name.startswith("/"):
                mapped[name] = "".join(sorted({*mapped.get(name, ""), *rights} - {"-"}))
            elif "w" in rights and "x" in rights:
                writable_code += 1
        return {"files": mapped, "writable_code": writable_code}

    def environment(self, pid: int) -> Row:
        return {"variables": environment(self._memory(pid, "environ"))}

    def _link(self, pid: int, name: str) -> str | None:
        """Return what a link of a process stands for; None if there is nothing, or we may not know."""
        with suppress(OSError):
            return files.shown(str(Path(f"{self.proc}/{pid}/{name}").readlink()))
        return None

    def _memory(self, pid: int, name: str) -> bytes:
        """Read what the kernel takes out of a process's memory, but do not wait for it."""
        self.thread = self.thread or ThreadPoolExecutor(1)
        try:
            return self.thread.submit(_begin_of, f"{self.proc}/{pid}/{name}").result(PATIENCE)
        except TimeoutError:
            # That thread waits on; it ends with us.
            self.thread = None
            raise LateError(name) from None

    def _digest(self, pid: int) -> str | None:
        """Return the digest of a program, read through the process itself; None if that can't be, or might hang."""
        with suppress(OSError):
            place = f"{self.proc}/{pid}/exe"
            look = os.open(place, os.O_PATH | os.O_CLOEXEC)
            try:
                status = os.fstat(look)
                known = (status.st_dev, status.st_ino)
                if known not in self.programs:
                    fit = file_system(look) in LOCAL and status.st_size <= LARGEST_PROGRAM
                    self.programs[known] = _sha256(f"/proc/self/fd/{look}") if fit else ""
                return self.programs[known] or None
            finally:
                os.close(look)
        return None


def _begin_of(path: str) -> bytes:
    with open(path, "rb") as source:  # noqa: PTH123 - a path here is a str
        return source.read(MEMORY_BYTES)


def _sha256(path: str) -> str:
    descriptor = files.open_again(path)
    with os.fdopen(descriptor, "rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _boot_time(proc: str) -> float:
    found = re.search(r"^btime (\d+)$", Path(f"{proc}/stat").read_text("ascii"), re.MULTILINE)
    return float(found[1]) if found else 0.0
