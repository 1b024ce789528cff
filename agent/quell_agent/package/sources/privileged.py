"""Files that give whoever runs them more rights: set-user-id, set-group-id, capabilities; on all local mounts."""

import os
import stat
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from quell_agent import files
from quell_agent.package.item import Item, document
from quell_agent.package.machine import Machine, facts_of
from quell_agent.package.walk import UNREAL, mounts

ATTRIBUTE = "security.capability"
EFFECTIVE = 1
CAPABILITIES = (
    *("chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap"),
    *("linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner"),
    *("sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice"),
    *("sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap"),
    *("mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf"),
    "checkpoint_restore",
)


def items(machine: Machine) -> Iterator[Item]:
    """Yield one list over everything."""
    yield document("privileged-files/files.json", "/", _files(machine))


def _files(machine: Machine) -> Iterator[dict[str, Any]]:
    # A copy of a machine's files has no mounts of its own.
    tops, all_mounts = _tops() if machine.live else (["/"], frozenset[str]())
    for top in tops:
        for path, folder, entry in machine.walk.entries(top, beside=all_mounts | set(UNREAL)):
            if not entry.is_file(follow_symlinks=False):
                continue
            with suppress(OSError, files.NotAFileError):
                status = entry.stat(follow_symlinks=False)
                special = status.st_mode & (stat.S_ISUID | stat.S_ISGID)
                capabilities = _capabilities(folder, entry.name) if status.st_mode & 0o111 else None
                if special or capabilities:
                    with files.opened_file(folder, entry.name) as file:
                        digest = files.content_of(file).sha256
                    yield {"path": files.shown(path), **facts_of(status), "sha256": digest, **(capabilities or {})}


def _capabilities(folder: int, name: str) -> dict[str, Any] | None:
    """Return the capabilities of a file, as `setcap` means them; None if it has none."""
    try:
        raw = os.getxattr(f"/proc/self/fd/{folder}/{name}", ATTRIBUTE, follow_symlinks=False)
    except OSError:
        return None
    words = struct.unpack(f"<{len(raw) // 4}I", raw)
    permitted = words[1] | (words[3] << 32 if len(words) > 3 else 0)  # noqa: PLR2004 - the first version has one word
    names = [name for bit, name in enumerate(CAPABILITIES) if permitted >> bit & 1]
    return {"capabilities": names, "effective": bool(words[0] & EFFECTIVE), "capabilities_raw": raw.hex()}


def _tops() -> tuple[list[str], frozenset[str]]:
    """Return where each device is first mounted as a whole or in part, and all places where anything is mounted."""
    tops, seen = list[str](), list[tuple[str, str]]()
    found = sorted(mounts(), key=lambda mount: (len(mount[2]), mount[0]))
    for path, device, folder in found:
        known = any(device == other and f"{folder}/".startswith(top.rstrip("/") + "/") for other, top in seen)
        if not known and not f"{path}/".startswith(("/proc/", "/sys/")):
            tops.append(path)
            seen.append((device, folder))
    return sorted(tops), frozenset(path for path, _, _ in found)
