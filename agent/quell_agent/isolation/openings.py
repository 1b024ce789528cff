"""What stays open: the channel to us, and the exclusions of an order as they stand on this machine now."""

import pwd
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from pathlib import Path

from quell.remediation.v1 import device_pb2

from quell_agent.isolation.control import ControlChannel
from quell_executor.effect import RefusedError

Network = IPv4Network | IPv6Network
MOUNTS = Path("/proc/self/mountinfo")
CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Opening:
    """Traffic of our programs with others. All that is given must match; no far ends, no ports: any.

    `cgroup` is a path below `/sys/fs/cgroup`, and how many names below the root of its hierarchy it has.
    """

    remotes: tuple[Network, ...] = ()
    ports: tuple[int, ...] = ()
    protocols: tuple[str, ...] = ("tcp", "udp")
    uid: int | None = None
    cgroup: tuple[str, int] | None = None

    def far_ends(self, version: int) -> tuple[Network, ...]:
        """Return the networks of an IP version."""
        return tuple(remote for remote in self.remotes if remote.version == version)

    def has(self, version: int) -> bool:
        """Tell whether traffic of an IP version can match."""
        return not self.remotes or bool(self.far_ends(version))


def of_control(channel: ControlChannel) -> tuple[Opening, ...]:
    """Return an opening for each endpoint."""
    ends = sorted(set(channel.endpoints), key=lambda end: (end.address.version, int(end.address), end.port))
    return tuple(Opening((ip_network(end.address),), (end.port,), ("tcp",), uid=channel.uid) for end in ends)


def of_order(order: device_pb2.IsolateDevice) -> tuple[Opening, ...]:
    """Return what an order leaves open. A user or cgroup that is not there (any more) opens nothing."""
    return tuple(found for each in order.exclusions if (found := _opening(each)) is not None)


def check(order: device_pb2.IsolateDevice) -> None:
    """Check that what an order names is there.

    Raises:
        RefusedError: A user or a cgroup is not.

    """
    for each in order.exclusions:
        if each.user and _uid(each.user) is None:
            raise RefusedError("USER_UNKNOWN", "an exclusion names a user that this device does not have")
        if each.cgroup and _cgroup(each.cgroup) is None:
            raise RefusedError("CGROUP_UNKNOWN", "an exclusion names a cgroup that this device does not have")


def _opening(exclusion: device_pb2.NetworkExclusion) -> Opening | None:
    uid = _uid(exclusion.user) if exclusion.user else None
    cgroup = _cgroup(exclusion.cgroup) if exclusion.cgroup else None
    if (exclusion.user and uid is None) or (exclusion.cgroup and cgroup is None):
        return None
    remotes = _merged(ip_network(remote, strict=False) for remote in exclusion.remotes)
    return Opening(remotes, tuple(sorted(set(exclusion.ports))), uid=uid, cgroup=cgroup)


def _merged(networks: Iterable[Network]) -> tuple[Network, ...]:
    """Merge networks that overlap: sets of rules must not."""
    found = list(networks)
    four = collapse_addresses(each for each in found if isinstance(each, IPv4Network))
    six = collapse_addresses(each for each in found if isinstance(each, IPv6Network))
    return (*four, *six)


def _uid(user: str) -> int | None:
    try:
        return pwd.getpwnam(user).pw_uid
    except (KeyError, ValueError):
        return None


def _cgroup(name: str) -> tuple[str, int] | None:
    parts = name.split("/")
    root = next((mount for mount in _hierarchies() if mount.is_relative_to(CGROUPS)), None)
    if root is None or {".", ".."} & {*parts} or not (root / name).is_dir():
        return None
    return str((root / name).relative_to(CGROUPS)), len(parts)


def _hierarchies() -> list[Path]:
    """Return where cgroups of version 2 are mounted."""
    lines = [line.split() for line in MOUNTS.read_text("utf-8").splitlines()]
    return [Path(words[4]) for words in lines if "cgroup2" in words[words.index("-") :]]
