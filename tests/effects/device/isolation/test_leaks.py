"""From inside an isolated device nothing gets out, by whatever way; each way does get out when it is not isolated."""

import secrets

import pytest
from quell.remediation.v1 import device_pb2

from isolation_world import Device, selective
from network_lab import GATEWAY, GATEWAY6, PORT, TALKER, WORLD, WORLD6

WAYS = {
    "DNS by UDP": [f"device udp {WORLD} 53", f"device udp {WORLD6} 53", f"device udp {GATEWAY} 53"],
    "DNS by TCP": [f"device tcp {WORLD} 53", f"device tcp {WORLD6} 53", f"device tcp {GATEWAY} 53"],
    "DNS over TLS": [f"device tcp {WORLD} 853", f"device tcp {WORLD6} 853"],
    "QUIC": [f"device udp {WORLD} 443", f"device udp {WORLD6} 443", f"device udp {GATEWAY} {PORT}"],
    "HTTPS": [f"device tcp {WORLD} 443", f"device tcp {WORLD6} 443"],
    "ICMP": [f"device icmp {WORLD}", f"device icmp {WORLD6}", f"device icmp {GATEWAY}", f"device icmp {GATEWAY6}"],
    "a source port that is let in": [f"device udp {WORLD} 67 w0 68", "device udp 10.90.2.255 67 w0 68"],
    "forged router messages": ["device forged 133 ff02::2 w0", "device forged 134 ff02::1 w0"],
    "forged neighbour messages": [f"device forged 135 {WORLD6} w0", f"device forged 136 {WORLD6} w0"],
    "forged redirects": [f"device forged 137 {WORLD6} w0"],
    "a header of one's own": [f"device raw_ip {WORLD} 443", f"device raw_ip {GATEWAY} {PORT}"],
    "the channel to us, as another user": [f"device tcp {GATEWAY} {PORT}", f"device tcp {GATEWAY6} {PORT}"],
    "another port of our gateway, as our user": [f"device tcp {GATEWAY} 22 m0 {TALKER}"],
    "the gateway's port elsewhere, as our user": [f"device tcp {WORLD} {PORT} w0 {TALKER}"],
    "packet sockets": [f"device frame {name} 88b5" for name in ("w0", "m0", "x0", "b0", "br0", "t0")],
    "packet sockets past the queue": ["device frame w0 88b5 bypass", "device frame x0 0800 bypass"],
    "packet sockets that forge": [
        "device frame w0 0806 arp",
        "device frame w0 86dd nd",
        "device frame w0 0800 ip",
        "device frame m0 0806 arp",
    ],
    "sockets that pass the packet filter by": ["device express w0", "device express x0", "device express t0"],
    "a second interface": ["device udp 10.90.3.2 53 x0", "device tcp 10.90.3.2 443 x0"],
    "a tunnel": ["device udp 10.90.4.2 53 t0", "device tcp 10.90.4.2 443 t0"],
    "a bridge": ["device udp 10.90.5.9 53 br0"],
    "a container, routed": [f"container udp {WORLD} 53", f"container tcp {WORLD} 443", f"container icmp {WORLD}"],
    "a container, bridged": ["container udp 10.90.5.9 53", "container frame e0 88b5", "container frame e0 0806 arp"],
}
ALL = [way for ways in WAYS.values() for way in ways]


async def test_nothing_gets_out(device: Device) -> None:
    """Every way leaks before and after; none while it is isolated, and no other frame is seen but neighbours' own."""
    before = device.lab.ruleset()
    assert await device.leaking(ALL) == ALL
    plan = await device.isolate()
    for far in device.lab.far.values():
        await far.ask("!")
    assert await device.leaking(ALL) == []
    assert [await far.ask("!") for far in device.lab.far.values()] == ["0", "0"]
    await device.release(plan)
    assert await device.leaking(ALL) == ALL
    assert device.lab.ruleset() == before


async def test_nothing_gets_out_but_what_is_excluded(device: Device) -> None:
    """An exclusion opens what it says, and none of the other ways."""
    order = selective(device_pb2.NetworkExclusion(remotes=["10.90.2.3"], ports=[443]))
    await device.isolate(order)
    assert await device.leaks("device tcp 10.90.2.3 443")
    assert await device.leaks("device udp 10.90.2.3 443")
    assert await device.leaking([*ALL, "device tcp 10.90.2.3 853", "device icmp 10.90.2.3"]) == []


async def test_a_proxy_in_another_namespace_is_no_way_round(device: Device) -> None:
    """Who has an uplink of its own, and is reached by a Unix socket, is cut off too."""
    path = str(device.data / "proxy")
    await device.lab.role("aside", "proxy", path, "10.90.6.2", "443")
    ways = [f"device unix {path}", "aside udp 10.90.6.2 53", "aside frame e0 88b5"]
    before = device.lab.ruleset("aside")
    assert await device.leaking(ways) == ways
    plan = await device.isolate()
    assert await device.leaking(ways) == []
    await device.release(plan)
    assert await device.leaking(ways) == ways
    assert device.lab.ruleset("aside") == before


async def test_a_container_is_cut_off_by_the_device_alone(device: Device) -> None:
    """Whoever rules in a container and throws our rules in it away gains nothing."""
    ways = [way for way in ALL if way.startswith("container")]
    await device.isolate()
    device.lab.nft("flush ruleset", "container")
    assert await device.leaking(ways) == []


@pytest.mark.parametrize("far", [WORLD, WORLD6], ids=["IPv4", "IPv6"])
async def test_established_connections_are_cut_both_ways(device: Device, far: str) -> None:
    """What was connected before says and hears nothing any more; our own channel lives on."""
    lab, here = device.lab, {WORLD: "10.90.2.1", WORLD6: "fd90:2::1"}[far]
    inner = await lab.role("device", "far", "8022")
    out = await lab.role("device", "client", far, "443", "0")
    back = await lab.role("world", "client", here, "8022", "0")
    ours = await lab.role("device", "client", {WORLD: GATEWAY, WORLD6: GATEWAY6}[far], str(PORT), str(TALKER))
    for session, word in ((out, "one"), (back, "two"), (ours, "three")):
        assert await session.ask(word) == word
    await device.isolate()
    assert await ours.ask("still-ours") == "still-ours"
    assert await out.ask("leaving-secretly") == "lost"
    assert await lab.heard("leaving-secretly") == 0
    assert await back.ask("coming-secretly") == "lost"
    # It still answers; a word that somebody else's bytes could hold by chance tells nothing.
    assert await inner.ask(secrets.token_hex(16)) == "0"
    again = await lab.role("device", "client", {WORLD: GATEWAY, WORLD6: GATEWAY6}[far], str(PORT), str(TALKER))
    assert await again.ask("a-new-one") == "a-new-one"


async def test_nobody_gets_in(device: Device) -> None:
    """No other host reaches what listens on the device, nor does our gateway, from whichever port."""
    lab = device.lab
    await lab.role("device", "far", "8022")
    ways = [
        *(f"world tcp {address} 8022" for address in ("10.90.2.1", "fd90:2::1", "10.90.3.1")),
        *(f"gateway tcp {address} 8022 e0 0 {PORT}" for address in ("10.90.1.1", "fd90:1::1")),
    ]

    async def getting_in() -> list[str]:
        answers = [await lab.attempt(way.split()[0], "in", *way.split()[1:]) for way in ways]
        return [way for way, answer in zip(ways, answers, strict=True) if answer == "sent"]

    assert await getting_in() == ways
    await device.isolate()
    assert await getting_in() == []


async def test_loopback_is_alive(device: Device) -> None:
    """Programs of the device still talk to each other, by its own addresses too."""
    await device.lab.role("device", "far", "8022")
    await device.isolate()
    for address in ("127.0.0.1", "::1", "10.90.2.1", "fd90:2::1"):
        assert await device.lab.attempt("device", "in", "tcp", address, "8022") == "sent"
