"""Whom nothing is taken from: the security team's own mailboxes, and what its phishing simulations send.

An address in From is whatever its sender wrote, so a simulation is told by that and by where it came from.
"""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

from quell_email.domain.facts import Headers, within

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Simulation:
    """One sender of simulated phishing: an address, or a domain with all below it, and the networks it sends from."""

    sender: str
    networks: tuple[Network, ...]

    def sent(self, headers: Headers) -> bool:
        """Tell whether a message is one of its."""
        wanted = self.sender.casefold()
        senders = [sender.casefold() for sender in headers.senders]
        domains = [sender.rpartition("@")[2].rstrip(".") for sender in senders]
        named = wanted in senders if "@" in wanted else any(within(domain, wanted) for domain in domains)
        if not named or not headers.sender_ip:
            return False
        address = ip_address(headers.sender_ip)
        return any(address in network for network in self.networks if network.version == address.version)


@dataclass(frozen=True, slots=True)
class Exclusions:
    """All of them; mailboxes by canonical address."""

    mailboxes: frozenset[str] = frozenset()
    simulations: tuple[Simulation, ...] = ()

    def reason(self, mailbox: str, headers: Headers | None) -> str:
        """Return why a message is left alone, in upper snake case; empty if it is not."""
        if mailbox in self.mailboxes:
            return "EXCLUDED_MAILBOX"
        if headers and any(simulation.sent(headers) for simulation in self.simulations):
            return "EXCLUDED_SIMULATION"
        return ""
