"""Promise: what isolates and restricts a device does so through a real reboot, and is let go of after it.

A Debian 12 boots in QEMU without KVM, with the agent's own package, at a deployment beside it: five boots of one disk,
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
from pprint import pformat

import boot
import pytest

import boot_image
from boot_desk import Desk, desk
from boot_machine import Machine, booted

DATA = "/var/lib/quell-agent"
SAVED = f"{DATA}/execution/policy.json"
ISOLATION, RESTRICTION = "quell-agent-isolation.service", "quell-agent-restriction.service"
AGENT = "quell-agent.service"
UNITS = (ISOLATION, RESTRICTION, "sysinit.target", "network-pre.target", "systemd-networkd.service", AGENT)
STRANGER = "if /usr/local/bin/stranger; then echo starts; else echo refused; fi 2>/dev/null"
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

    `early` lists tables, devices, whether a stranger starts, and who guards, before the network; `guards` who does now.
    """

    early: str
    guards: str
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
            guards=machine.run(boot_image.GUARDS).strip(),
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
    stopped: str
    broken: Sight
    minimum: Sight
    said: str
    released: Witnessed
    left: str
    free: Sight


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
        stopped = machine.run(f"{STRANGER}; systemctl stop {RESTRICTION}; {STRANGER}")
        machine.run(f"echo 'add rule so what' >>{DATA}/isolation/isolation.nft")
        machine.run(f"echo so what >{SAVED}")
        machine.reboot()
    with booted(image, folder / "broken") as machine:
        connected(machine)
        last(machine, "shut", "refused")
        broken = Sight.of(machine)
        # Without the agent, which would put it back.
        machine.run(f"systemctl stop quell-agent; : >{SAVED}")
        machine.run("echo 'unguarded = \"closed\"' >>/etc/quell-agent/agent.toml")
        machine.reboot()
    with booted(image, folder / "minimum") as machine:
        connected(machine)
        # As it was ordered, before the configuration was another.
        machine.run(f"timeout 200 sh -c 'until grep -q \"dead.: .open\" {SAVED}; do sleep 1; done'")
        minimum = Sight.of(machine)
        said = machine.run(f"journalctl -b -p err -u {RESTRICTION}")
        ours.act("release-device-from-isolation", "booted")
        ours.act("release-code-execution", "booted")
        released = last(machine, "open", "starts")
        left = machine.run(f"nft list tables; ls {DATA}/isolation {DATA}/execution")
        machine.reboot()
    with booted(image, folder / "free") as machine:
        connected(machine)
        last(machine, "open", "starts")
        free = Sight.of(machine)
    agents = f"tcp {boot_image.GATEWAY} {ours.agents}"
    return Story(agents, untouched, in_force, isolated, stopped, broken, minimum, said, released, left, free)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Return what happened; the disk does not stay."""
    if lacks := boot.missing():
        pytest.skip(f"not here: {' '.join(lacks)}")
    folder = tmp_path_factory.mktemp("boot")
    try:
        seen = story(folder)
        # Beside what each boot said on its console.
        (folder / "seen").write_text(pformat(seen), encoding="utf-8")
        yield seen
    finally:
        (folder / "disk.img").unlink(missing_ok=True)


def assert_open(seen: Sight) -> None:
    """See that a boot was neither isolated nor restricted at any time."""
    assert seen.early.count("table") == 0
    assert "stranger starts" in seen.early
    assert {(each.net, each.starts) for each in seen.witnessed} >= {("open", "starts")}
    assert {each.starts for each in seen.witnessed} == {"starts"}
    assert {f"udp {boot_image.GATEWAY} 53"} <= seen.sent
    assert (seen.began[ISOLATION], seen.began[RESTRICTION]) == (0, 0)


pytestmark = [pytest.mark.timeout(1800), pytest.mark.skipif(os.geteuid() != 0, reason="a disk is made as root")]


def test_without_a_remediation_it_boots_open(told: Story) -> None:
    """The control: the same disk, the same look, before anything is asked for."""
    assert_open(told.untouched)


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


def test_it_is_restricted_before_there_is_a_network(told: Story) -> None:
    """A stranger is refused before the network and before any ordinary service, and from then on, always."""
    seen = told.isolated
    assert "stranger refused" in seen.early
    began = seen.began
    assert 0 < began[RESTRICTION] <= min(began["network-pre.target"], began["sysinit.target"])
    assert {each.starts for each in seen.witnessed if each.at >= began[RESTRICTION]} == {"refused"}


def test_the_agent_takes_the_guardian_of_the_boot_over(told: Story) -> None:
    """Guardian and guard are the same processes after the agent has come; root can end them without it."""
    assert re.fullmatch(r"guards \d+ \d+", told.isolated.guards)
    assert told.isolated.guards in told.isolated.early
    assert told.stopped.split() == ["refused", "starts"]


def test_a_broken_file_boots_into_the_minimum(told: Story) -> None:
    """Nothing but the loopback is open until the agent makes it right; then it is what it was."""
    seen = told.broken
    assert "table inet quell_isolation\n" in seen.early
    assert "table bridge" not in seen.early
    assert ISOLATION in seen.failed
    assert {each.net for each in seen.witnessed} == {"shut"}
    assert told.agents in seen.sent
    assert seen.sent <= {told.agents, *ALWAYS_LEAVES}


def test_a_broken_policy_boots_unrestricted_as_configured(told: Story) -> None:
    """The unit fails, and everything starts, until the agent makes it right; from then on it is refused, always."""
    seen = told.broken
    assert RESTRICTION in seen.failed
    assert "stranger starts" in seen.early
    starts = [each.starts for each in seen.witnessed]
    assert starts == sorted(starts, reverse=True)
    assert set(starts) == {"starts", "refused"}


def test_a_broken_policy_boots_into_the_minimum_as_configured(told: Story) -> None:
    """Closed, a stranger is refused from before the network on; the same guardian holds what the agent makes right."""
    seen = told.minimum
    assert "policy.json" in told.said
    assert "stranger refused" in seen.early
    assert {each.starts for each in seen.witnessed if each.at >= seen.began[RESTRICTION] > 0} == {"refused"}
    guards = re.search(r"^guards (.*)$", seen.early, re.MULTILINE)
    assert guards is not None
    # A guard dies with its guardian: one that is still there tells of both.
    assert set(guards[1].split()) & set(seen.guards.split()) - {"guards"}
    assert seen.failed == ""


def test_a_release_after_the_reboot_opens_it_again(told: Story) -> None:
    """And leaves nothing for the next boot, which is as the first one was."""
    assert (told.released.net, told.released.starts) == ("open", "starts")
    assert "table" not in told.left
    assert "isolation.nft" not in told.left
    assert ".json" not in told.left
    assert_open(told.free)
    assert told.free.failed == ""
