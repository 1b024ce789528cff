"""The unit under which systemd runs the agent takes nothing away that the agent needs."""

import re
import socket
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
UNIT = REPOSITORY / "deploy/systemd/quell-agent.service"
AGENT = REPOSITORY / "agent/quell_agent"
NO_ADDRESSES = {"AF_UNSPEC"}


def service() -> dict[str, str]:
    """Return what the unit says of the service."""
    section = UNIT.read_text(encoding="utf-8").partition("[Service]")[2].partition("\n[")[0]
    pairs = (line.split("=", 1) for line in section.splitlines() if "=" in line and not line.startswith("#"))
    return dict(pairs)


def test_every_family_of_sockets_that_it_opens_is_allowed() -> None:
    """Packet sockets' rivals too: an isolation holds a device's queues by them, and would silently not."""
    code = "".join(path.read_text(encoding="utf-8") for path in AGENT.rglob("*.py"))
    named = set(re.findall(r"\bAF_[A-Z0-9]+\b", code)) - NO_ADDRESSES
    assert {"AF_UNIX", "AF_XDP", "AF_NETLINK"} <= named
    assert named <= set(service()["RestrictAddressFamilies"].split())


def test_the_names_are_those_of_families() -> None:
    """A name that systemd does not know it passes over, and so forbids what is meant."""
    known = {name for name in dir(socket) if name.startswith("AF_")} | {"AF_XDP"}
    assert set(service()["RestrictAddressFamilies"].split()) <= known


def test_what_an_investigation_reads_is_not_closed() -> None:
    """Each of these closes devices, the kernel's messages among them, or hides a part of the machine."""
    closing = {"ProtectClock", "DeviceAllow", "DevicePolicy", "PrivateDevices", "ProtectKernelLogs", "PrivateTmp"}
    hiding = {"ProtectHostname", "ProtectHome", "ProtectSystem", "ProtectProc", "PrivateNetwork", "PrivateMounts"}
    assert not (closing | hiding) & set(service())
