"""Who asks: programs that run what they read, and our own processes. Reads `/proc` alone."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

INTERPRETERS = (
    *("sh", "bash", "dash", "zsh", "ksh", "mksh", "fish", "busybox", "python", "perl", "ruby", "node", "nodejs"),
    *("lua", "luajit", "php", "tclsh", "wish", "expect", "awk", "gawk", "mawk", "guile", "pwsh", "osh"),
)
SUFFIXES = (
    *(".sh", ".bash", ".zsh", ".ksh", ".fish", ".py", ".pyw", ".pl", ".pm", ".rb", ".js", ".mjs", ".cjs", ".lua"),
    *(".php", ".phar", ".tcl", ".awk", ".ps1"),
)
DEPTH = 16
"""How far up a process is looked for among our own."""


def interprets(pid: int) -> bool:
    """Tell whether a process runs a program that runs scripts. A copy under another name does not start at all."""
    path = program(pid)
    if not path:
        # It is gone, or in a namespace of processes beside ours.
        return True
    return os.path.basename(path).removesuffix(" (deleted)").rstrip("0123456789.-") in INTERPRETERS  # noqa: PTH119


def is_of(pid: int, ours: Collection[int]) -> bool:
    """Tell whether a process is one of ours, or was started by one."""
    return pid in ours or any(above in ours for above in ancestors(pid))


def ancestors(pid: int) -> Iterator[int]:
    """Yield who started a process, and who started that one, as far as this namespace shows."""
    for _ in range(DEPTH):
        try:
            # `PID (NAME) STATE PPID`; a name may hold anything, a bracket too.
            pid = int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
        except (OSError, IndexError):
            return
        if not pid:
            return
        yield pid


def program(pid: int) -> str:
    """Return the path of a process's program; empty if it can't be told."""
    try:
        return os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115 - a text
    except OSError:
        return ""
