"""The kernel: modules, what is hooked, its settings, its messages."""

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from quell_agent.package.item import Item, because, document, text_of
from quell_agent.package.machine import Machine

FILES = (
    *("/proc/modules", "/proc/cmdline", "/proc/version", "/proc/sys/kernel/tainted", "/sys/kernel/security/lsm"),
    *("/proc/devices", "/proc/filesystems", "/proc/interrupts", "/proc/iomem", "/proc/key-users", "/proc/keys"),
    *(
        "/sys/kernel/tracing/enabled_functions",
        "/sys/kernel/tracing/kprobe_events",
        "/sys/kernel/tracing/uprobe_events",
    ),
    *("/sys/kernel/debug/kprobes/list", "/proc/sys/fs/binfmt_misc/*", "/etc/modules", "/etc/modules-load.d/*"),
    *("/etc/modprobe.d/*", "/lib/modprobe.d/*", "/etc/sysctl.conf", "/etc/sysctl.d/*", "/run/sysctl.d/*"),
)
SETTINGS = "/proc/sys"
SETTING_BYTES = 4096
OF_A_MODULE = ("version", "srcversion", "taint", "initstate", "refcnt", "coresize")
MESSAGES = 20_000


def items(machine: Machine) -> Iterator[Item]:
    """Yield modules as both `/proc` and `/sys` know them: a rootkit often hides from one alone."""
    yield document("kernel/modules.json", "/sys/module", _modules(machine))
    if machine.live:
        try:
            yield document("kernel/messages.json", "/dev/kmsg", _messages())
        except OSError as error:
            state, reason, message = because(error)
            yield Item(state, "/dev/kmsg", reason=reason, message=message)
    yield document("kernel/settings.json", SETTINGS, _settings(machine))
    yield from machine.copies(FILES)


def _modules(machine: Machine) -> Iterator[dict[str, Any]]:
    for name in machine.walk.names("/sys/module"):
        known = {field: machine.text(f"/sys/module/{name}/{field}").strip() for field in OF_A_MODULE}
        yield {"name": name, **{field: value for field, value in known.items() if value}}


def _messages() -> Iterator[dict[str, Any]]:
    """Yield what the kernel has said and still knows, oldest first."""
    log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        for _ in range(MESSAGES):
            try:
                record = os.read(log, 8192)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.EPIPE:
                    raise
                continue  # it was overwritten while we came
            head, _, text = record.partition(b";")
            priority, _, microseconds, *_ = head.split(b",")
            yield {"priority": int(priority), "microseconds": int(microseconds), "text": text_of(text.rstrip(b"\n"))}
    finally:
        os.close(log)


def _settings(machine: Machine) -> Iterator[dict[str, str]]:
    """Yield what can be read of the kernel's settings, each small; what is for writing only is passed over."""
    for path, folder, entry in machine.walk.entries(SETTINGS):
        if not entry.is_file(follow_symlinks=False):
            continue
        with suppress(OSError):
            if not entry.stat(follow_symlinks=False).st_mode & 0o444:
                continue
            file = os.open(entry.name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            try:
                value = os.read(file, SETTING_BYTES)
            finally:
                os.close(file)
            yield {"name": path.removeprefix(f"{SETTINGS}/"), "value": text_of(value.rstrip(b"\n"))}
