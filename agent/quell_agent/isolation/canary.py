"""A real attempt to get out: what the rules say is one thing, what the kernel lets through another."""

import errno
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from quell_agent.isolation.openings import Opening

FAR_AWAY = (ip_address("192.0.2.1"), ip_address("2001:db8::1"))
"""Addresses for documentation (RFC 5737, RFC 3849): nobody has them."""
DISCARD = 9
STOPPED = {errno.EPERM, errno.EACCES, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


def gets_out(openings: Sequence[Opening], uid: int) -> bool:
    """Tell whether a datagram of this process leaves for far away, though nothing is open for it.

    A datagram that is dropped on its way out is refused to its sender at once, so this waits for nothing. By IPv6 it is
    tried too. What an opening lets through says nothing, and is not tried.
    """
    return any(_leaves(address) for address in FAR_AWAY if not any(_covers(each, address, uid) for each in openings))


def _covers(opening: Opening, address: IPv4Address | IPv6Address, uid: int) -> bool:
    ends = opening.far_ends(address.version)
    return (
        "udp" in opening.protocols
        and (opening.has(address.version) and (not opening.remotes or any(address in network for network in ends)))
        and (not opening.ports or DISCARD in opening.ports)
        and opening.uid in {None, uid}
    )


def _leaves(address: IPv4Address | IPv6Address) -> bool:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6  # noqa: PLR2004 - the version
    try:
        with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as out:
            out.sendto(b"", (str(address), DISCARD))
    except OSError as error:
        if error.errno in STOPPED:
            return False
        raise
    return True
