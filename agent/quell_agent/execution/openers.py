"""Who asks: programs that run what they read, and our own processes. Reads `/proc` alone."""

import os
from collections.abc import Collection
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
    try:
        program = os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115 - a text
    except OSError:
        # It cannot be told: it is gone, or in a namespace of processes beside ours.
        return True
    return os.path.basename(program).removesuffix(" (deleted)").rstrip("0123456789.-") in INTERPRETERS  # noqa: PTH119


def is_of(pid: int, ours: Collection[int]) -> bool:
    """Tell whether a process is one of ours, or was started by one."""
    for _ in range(DEPTH):
        if pid in ours:
            return True
        try:
            # `PID (NAME) STATE PPID`; a name may hold anything, a bracket too.
            pid = int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
        except (OSError, IndexError):
            return False
    return False
