"""The channel to us, which stays open on an isolated device."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a gateway of ours listens: an address, never a name, so that no resolver can widen it."""

    address: Address
    port: int


@dataclass(frozen=True, slots=True)
class ControlChannel:
    """Every address that our gateway has, resolved before the device is isolated, and who may talk to it: a user id.

    Whoever gives it keeps it fresh, and gives one that is not empty as soon as the agent is enrolled.
    """

    endpoints: tuple[Endpoint, ...]
    uid: int
