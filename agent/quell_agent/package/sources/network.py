"""The network: who talks to whom, who listens, interfaces, routes, neighbours, names, firewall.

Sockets are those of every network namespace that a process is in.
"""

import ipaddress
import os
import re
import struct
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from quell_agent import commands, files
from quell_agent.package.item import Item, because, document, text_of
from quell_agent.package.machine import Machine
from quell_agent.package.programs import output
from quell_agent.package.sources import netlink

INTERNET = ("tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6", "icmp", "icmp6")
STATES = dict(
    enumerate(
        (
            *("ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT"),
            *("CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV"),
        ),
        1,
    )
)
OF_KERNEL = (
    "arp",
    "route",
    "ipv6_route",
    "if_inet6",
    "dev",
    "snmp",
    "netstat",
    "igmp",
    "packet",
    "netlink",
    "wireless",
)
FILES = (
    *("/etc/resolv.conf", "/run/systemd/resolve/*.conf", "/run/resolvconf/*", "/etc/hosts", "/etc/nsswitch.conf"),
    *("/etc/hosts.allow", "/etc/hosts.deny", "/etc/gai.conf", "/etc/systemd/resolved.conf", "/etc/dnsmasq.conf"),
    *("/etc/nftables.conf", "/etc/iptables/*", "/etc/sysconfig/ip*tables", "/etc/ufw/*", "/etc/firewalld/**"),
    *("/etc/network/interfaces", "/etc/network/interfaces.d/*", "/etc/netplan/*", "/etc/systemd/network/*"),
    *("/etc/apt/apt.conf.d/*proxy*", "/etc/profile.d/*proxy*", "/etc/dhcp/*.conf", "/var/lib/dhcp/*"),
)
NEW_NETWORK = 0x40000000
Row = dict[str, Any]


def items(machine: Machine) -> Iterator[Item]:
    """Yield sockets first: they change soonest."""
    if machine.live:
        yield document("network/sockets.json", "/proc/[pid]/net", _sockets())
        # We may be in a namespace of our own, from which nothing is to be seen.
        with suppress(OSError), open("/proc/1/ns/net", "rb") as namespace:  # noqa: PTH123 - it is no file
            files.LIBC.setns(namespace.fileno(), NEW_NETWORK)
        for name in netlink.TABLES:
            yield _kernel(name)
    yield from machine.copies([f"/proc/net/{name}" for name in OF_KERNEL])
    if machine.live:
        yield output("network/firewall.json", commands.NFT, "-j", "list", "ruleset")
        # Asking iptables loads its tables, so it is asked only for those that are in use.
        for family, program in (("ip", commands.IPTABLES_SAVE), ("ip6", commands.IP6TABLES_SAVE)):
            if machine.text(f"/proc/net/{family}_tables_names"):
                yield output(f"network/{program.name}.txt", program)
    yield from machine.copies(FILES)


def _kernel(name: str) -> Item:
    try:
        return document(f"network/{name}.json", f"rtnetlink:{name}", netlink.dump(name))
    except OSError as error:
        state, reason, message = because(error)
        return Item(state, f"rtnetlink:{name}", reason=reason, message=message)


def _sockets() -> Iterator[Row]:
    owners, spaces = defaultdict[str, list[int]](list), dict[str, int]()
    for pid in sorted(int(name) for name in files_of("/proc") if name.isdigit()):
        with suppress(OSError):
            spaces.setdefault(str(Path(f"/proc/{pid}/ns/net").readlink()), pid)
        for name in files_of(f"/proc/{pid}/fd"):
            with suppress(OSError):
                if found := re.fullmatch(r"socket:\[(\d+)\]", str(Path(f"/proc/{pid}/fd/{name}").readlink())):
                    owners[found[1]].append(pid)
    # Without rights over others nobody knows their namespaces; our own is always there.
    for space, pid in spaces.items():
        for protocol in INTERNET:
            for row in _internet(f"/proc/{pid}/net/{protocol}"):
                yield {"namespace": space, "protocol": protocol, **row, "pids": owners.get(row["inode"], [])}
        for row in _unix(f"/proc/{pid}/net/unix"):
            yield {"namespace": space, "protocol": "unix", **row, "pids": owners.get(row["inode"], [])}


def files_of(folder: str) -> list[str]:
    """Return the names in a folder of the kernel's; none if it is gone or not for us."""
    with suppress(OSError):
        return os.listdir(folder)  # noqa: PTH208 - names are all that is wanted
    return []


def _lines(path: str) -> list[bytes]:
    with suppress(OSError):
        return Path(path).read_bytes().splitlines()[1:]
    return []


def _internet(path: str) -> Iterator[Row]:
    for line in _lines(path):
        parts = line.decode("ascii").split()
        state = int(parts[3], 16)
        yield {
            "local": address(parts[1]),
            "remote": address(parts[2]),
            "state": STATES.get(state, state) if "tcp" in path else "",
            "uid": int(parts[7]),
            "inode": parts[9],
        }


def address(text: str) -> str:
    """Return an address as people write it; the kernel writes words of the machine's own order in hex."""
    host, port = text.split(":")
    words = [int(host[at : at + 8], 16) for at in range(0, len(host), 8)]
    found = ipaddress.ip_address(struct.pack(f"={len(words)}I", *words))
    return f"{found}:{int(port, 16)}" if found.version == 4 else f"[{found}]:{int(port, 16)}"  # noqa: PLR2004


def _unix(path: str) -> Iterator[Row]:
    for line in _lines(path):
        parts = line.split(maxsplit=7)
        name = text_of(parts[7]) if len(parts) > 7 else ""  # noqa: PLR2004 - not each has a name
        yield {"type": int(parts[4], 16), "state": int(parts[5], 16), "inode": parts[6].decode(), "path": name}
