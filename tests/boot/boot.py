"""Promise: what isolates and restricts a device does so through a real reboot, and is let go of after it.

A Debian 12 boots in QEMU without KVM, with the agent's own package, at a deployment beside it: three boots of one disk,
each looked at from inside and by the frames that left it. It takes minutes, so that `make test-boot` runs it alone.
"""

import ipaddress
import os
import re
import socketserver
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import boot
import pytest

import boot_image
from boot_desk import Desk, desk
from boot_machine import Machine, booted

DATA = "/var/lib/quell-agent"
ISOLATION, AGENT = "quell-agent-isolation.service", "quell-agent.service"
UNITS = (ISOLATION, "network-pre.target", "systemd-networkd.service", AGENT)
ALWAYS_LEAVES = ("arp", "udp 255.255.255.255 67", f"udp {boot_image.GATEWAY} 67")
"""What an isolated device goes on saying: to find the gateway, and to keep its address."""


@dataclass(frozen=True)
class Witnessed:
    """What the witness in the machine saw at a time after its start, in seconds."""

    at: float
    net: str
    starts: str


@dataclass(frozen=True)
class Sight:
    """A boot as it was seen; `began` by unit, in seconds after the machine's start, `sent` the kinds of its frames.

    `early` lists tables and devices before the network.
    """

    early: str
    began: Mapping[str, float]
    failed: str
    witnessed: tuple[Witnessed, ...]
    sent: frozenset[str]

    @classmethod
    def of(cls, machine: Machine) -> "Sight":
        """Look at a machine."""
        began = dict[str, float]()
        for unit in UNITS:
            said = machine.run(f"systemctl show -P ActiveEnterTimestampMonotonic {unit}")
            began[unit] = int(said) / 1e6
        return cls(
            early=machine.run("cat /run/early"),
            began=began,
            failed=machine.run("systemctl list-units --failed --plain --no-legend"),
            witnessed=witnessed(machine),
            sent=frozenset(kind_of(frame) for frame in machine.frames()),
        )


@dataclass(frozen=True)
class Story:
    """All that happened: the boots, and what the witness saw last when it should be so."""

    agents: str
    untouched: Sight
    in_force: Witnessed
    isolated: Sight
    broken: Sight
    released: Witnessed
    left: str


def witnessed(machine: Machine) -> tuple[Witnessed, ...]:
    """Return what the witness wrote down so far."""
    lines = [line.split() for line in machine.run("cat /run/witness").splitlines()]
    return tuple(Witnessed(float(at), net, starts) for at, net, starts in (line for line in lines if len(line) == 3))


def kind_of(frame: bytes) -> str:
    """Return what a frame is: its protocol and where it goes."""
    kind = frame[12:14].hex()
    if kind == "0800":
        protocol, to, rest = frame[23], ipaddress.ip_address(frame[30:34]), frame[14 + (frame[14] & 15) * 4 :]
    elif kind == "86dd":
        protocol, to, rest = frame[20], ipaddress.ip_address(frame[38:54]), frame[54:]
    else:
        return {"0806": "arp"}.get(kind, kind)
    if protocol in (6, 17):
        return f"{'tcp' if protocol == 6 else 'udp'} {to} {int.from_bytes(rest[2:4])}"
    return f"ip {protocol} {to}"


def last(machine: Machine, net: str, starts: str) -> Witnessed:
    """Wait until the witness sees something, and return it."""
    wanted = f"tail -n 1 /run/witness | grep -q '{net} {starts}$'"
    machine.run(f'timeout 200 sh -c "until {wanted}; do sleep 1; done"')
    return witnessed(machine)[-1]


def connected(machine: Machine) -> None:
    """Wait until the agent of this boot is in conversation."""
    machine.run("timeout 200 sh -c 'until journalctl -b -u quell-agent | grep -q connected; do sleep 1; done'")


def story(folder: Path) -> Story:
    """Have it happen."""
    with (
        socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as outside,
        desk(folder / "desk") as ours,
    ):
        threading.Thread(target=outside.serve_forever, daemon=True).start()
        try:
            return _boots(boot_image.build(folder, outside.server_address[1]), folder, ours)
        finally:
            outside.shutdown()


def _boots(image: boot_image.Image, folder: Path, ours: Desk) -> Story:
    with booted(image, folder / "first") as machine:
        last(machine, "open", "starts")
        untouched = Sight.of(machine)
        token = ours.quell("devices", "enrol-token", person="carol").strip()
        machine.run(f"umask 77; echo '{token}' >/etc/quell-agent/token; systemctl start --no-block quell-agent")
        connected(machine)
        ours.act("isolate-device", "booted", "--mode", "full")
        ours.act("restrict-code-execution", "booted")
        in_force = last(machine, "shut", "refused")
        machine.reboot()
    with booted(image, folder / "again") as machine:
        connected(machine)
        last(machine, "shut", "refused")
        isolated = Sight.of(machine)
        machine.run("systemctl stop quell-agent")
        machine.run(f"echo 'add rule so what' >>{DATA}/isolation/isolation.nft")
        machine.reboot()
    with booted(image, folder / "broken") as machine:
        connected(machine)
        last(machine, "shut", "refused")
        broken = Sight.of(machine)
        ours.act("release-device-from-isolation", "booted")
        ours.act("release-code-execution", "booted")
        released = last(machine, "open", "starts")
        left = machine.run(f"nft list tables; ls {DATA}/isolation")
    agents = f"tcp {boot_image.GATEWAY} {ours.agents}"
    return Story(agents, untouched, in_force, isolated, broken, released, left)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Return what happened; the disk does not stay."""
    if lacks := boot.missing():
        pytest.skip(f"not here: {' '.join(lacks)}")
    folder = tmp_path_factory.mktemp("boot")
    try:
        yield story(folder)
    finally:
        (folder / "disk.img").unlink(missing_ok=True)


pytestmark = [pytest.mark.timeout(1800), pytest.mark.skipif(os.geteuid() != 0, reason="a disk is made as root")]


def test_without_a_remediation_it_boots_open(told: Story) -> None:
    """The control: the same disk, the same look, before anything is asked for."""
    assert told.untouched.early.count("table") == 0
    assert {(each.net, each.starts) for each in told.untouched.witnessed} >= {("open", "starts")}
    assert {each.starts for each in told.untouched.witnessed} == {"starts"}
    assert {f"udp {boot_image.GATEWAY} 53"} <= told.untouched.sent


def test_it_is_isolated_before_there_is_a_network(told: Story) -> None:
    """The table is there before the network is begun with, and nothing but the channel to us ever leaves."""
    seen = told.isolated
    assert "table inet quell_isolation\ntable bridge quell_isolation\n" in seen.early
    assert re.search(r"^eth0 +DOWN", seen.early, re.MULTILINE)
    began = seen.began
    assert 0 < began[ISOLATION] <= began["network-pre.target"] <= began["systemd-networkd.service"] < began[AGENT]
    assert seen.failed == ""
    assert {each.net for each in seen.witnessed} == {"shut"}
    assert told.agents in seen.sent
    assert seen.sent <= {told.agents, *ALWAYS_LEAVES}


def test_execution_is_restricted_again_with_the_agent(told: Story) -> None:
    """Once refused it stays so; what starts before is a known limit, and it ends when the agent is up."""
    refused = [each.starts for each in told.isolated.witnessed]
    assert refused == sorted(refused, reverse=True)
    assert refused[-1] == "refused"


def test_a_broken_file_boots_into_the_minimum(told: Story) -> None:
    """Nothing but the loopback is open until the agent makes it right; then it is what it was."""
    seen = told.broken
    assert "table inet quell_isolation\n" in seen.early
    assert "table bridge" not in seen.early
    assert ISOLATION in seen.failed
    assert {each.net for each in seen.witnessed} == {"shut"}
    assert told.agents in seen.sent
    assert seen.sent <= {told.agents, *ALWAYS_LEAVES}


def test_a_release_after_the_reboot_opens_it_again(told: Story) -> None:
    """And leaves nothing for the next boot."""
    assert (told.released.net, told.released.starts) == ("open", "starts")
    assert "quell" not in told.left
    assert "isolation.nft" not in told.left
