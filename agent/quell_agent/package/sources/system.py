"""The system: which it is, what it runs on, since when, how it is locked down."""

import platform
import time
from collections.abc import Iterator

from quell_agent.package.item import Item, document
from quell_agent.package.machine import Machine

FILES = (
    *("/usr/lib/os-release", "/etc/os-release", "/etc/debian_version", "/etc/redhat-release", "/etc/hostname"),
    *("/etc/machine-id", "/etc/timezone", "/etc/localtime", "/etc/adjtime", "/etc/issue", "/etc/motd"),
    *("/proc/cpuinfo", "/proc/meminfo", "/proc/uptime", "/proc/loadavg", "/proc/stat", "/proc/vmstat"),
    *("/proc/sys/kernel/random/boot_id", "/sys/class/dmi/id/*", "/sys/hypervisor/type", "/etc/selinux/config"),
    *("/sys/fs/selinux/enforce", "/sys/kernel/security/apparmor/profiles", "/sys/kernel/security/lockdown"),
    *("/etc/apparmor.d/*", "/etc/audit/*", "/etc/audit/rules.d/*", "/boot/grub/grub.cfg", "/etc/default/grub"),
)


def items(machine: Machine) -> Iterator[Item]:
    """Yield what the machine says of itself."""
    if machine.live:
        yield document("system/system.json", "uname, clock", [_system()])
    yield from machine.copies(FILES)


def _system() -> dict[str, object]:
    return {
        **platform.uname()._asdict(),
        "time": time.time(),
        "seconds_since_boot": time.clock_gettime(time.CLOCK_BOOTTIME),
        "time_zone": time.tzname,
    }
