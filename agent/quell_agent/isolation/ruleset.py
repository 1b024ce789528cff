"""The rules of an isolation, as an nftables script. Pure: what it says is decided before.

Whatever is not named here is dropped, in every direction and in every family. What a program sends has a user; what the
kernel itself sends (neighbour discovery, ARP, multicast reports) has none. So only the kernel's own may pass without
being named, and no program can forge it, by whatever kind of socket.

What comes in is let in only as the answer to something that was let out: the rules remember its two ends in sets of
their own. Connection tracking is not used: it would know connections from before, and marks of the administrator's.
"""

from collections.abc import Iterable, Mapping, Sequence

from quell_agent.isolation.openings import Opening

NAME = "quell_isolation"
SENT_BY_A_PROGRAM = "meta skuid != 4294967295"
FAMILIES: Mapping[int, str] = {4: "ip", 6: "ip6"}
AFTER_THE_ADMINISTRATORS = 10
DHCP = {
    4: ("ip daddr 255.255.255.255 udp sport 68 udp dport 67", "udp sport 67 udp dport 68"),
    6: ("ip6 daddr ff02::1:2 udp sport 546 udp dport 547", "ip6 saddr fe80::/10 udp sport 547 udp dport 546"),
}
DHCP_PACE = "limit rate 1/second burst 10 packets"
OWN_OF_THE_KERNEL = {
    4: ("meta protocol arp accept",),
    6: ("icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, mld2-listener-report } accept",),
}
NEEDED_FROM_NEIGHBOURS = {
    4: ("icmp type destination-unreachable icmp code frag-needed",),
    6: (
        "ip6 hoplimit 255 icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert }",
        "icmpv6 type packet-too-big",
    ),
}
TOP = "type filter hook {hook} priority {priority}; policy drop;"


def inet(name: str, openings: Sequence[Opening]) -> list[str]:
    """Return the commands that fill an `inet` table: all that goes through the stack."""
    versions = _versions(openings)
    sets = [
        f"add set inet {name} flows{version} {{ type {kind} . {kind} . inet_proto . inet_service . inet_service; "
        "size 65535; flags dynamic,timeout; timeout 1h; }"
        for version, kind in ((4, "ipv4_addr"), (6, "ipv6_addr"))
        if version in versions
    ]
    return [
        *sets,
        *_chain(f"inet {name} input", _hook("input"), _in(versions)),
        *_chain(f"inet {name} output", _hook("output"), _out(openings, versions)),
        *_chain(f"inet {name} forward", _hook("forward"), ()),
    ]


def netdev(name: str, openings: Sequence[Opening], devices: Mapping[int, str]) -> list[str]:
    """Return the commands that fill a `netdev` table: all that leaves by a device, packet sockets' frames too.

    `devices` are all but the loopback, by index. A name with a quote can't be said in a script: it is left out.
    """
    sayable = {index: device for index, device in sorted(devices.items()) if '"' not in device}
    chains = [
        command
        for index, device in sayable.items()
        for command in _chain(f"netdev {name} out{index}", _hook(f'egress device "{device}"', 0), ("jump allowed",))
    ]
    return [*_chain(f"netdev {name} allowed", "", _leaving(openings)), *chains]


def bridge(name: str) -> list[str]:
    """Return the commands that fill a `bridge` table: what goes from port to port, past the stack."""
    return _chain(f"bridge {name} forward", _hook("forward"), ())


def at_boot(openings: Sequence[Opening], families: Iterable[str]) -> str:
    """Return a script that isolates before there is a network, whatever it finds of ours.

    Devices and cgroups are not there yet: the agent adds them once it runs.
    """
    there = [opening for opening in openings if opening.cgroup is None]
    commands = [*inet(NAME, there), *(bridge(NAME) if "bridge" in families else ())]
    tables = ["inet", *(["bridge"] if "bridge" in families else [])]
    fresh = [f"{verb} table {family} {NAME}" for family in tables for verb in ("add", "delete", "add")]
    return "\n".join([*fresh, *commands, ""])


def _in(versions: Sequence[int]) -> list[str]:
    rules = ["iiftype loopback accept"]
    for version in versions:
        ip = FAMILIES[version]
        rules += [
            f"{ip} saddr . {ip} daddr . meta l4proto . th sport . th dport @flows{version} accept",
            f"{DHCP[version][1]} accept",
            *(f"{match} accept" for match in NEEDED_FROM_NEIGHBOURS[version]),
        ]
    return rules


def _out(openings: Sequence[Opening], versions: Sequence[int]) -> list[str]:
    rules = ["oiftype loopback accept"]
    for version in versions:
        ip = FAMILIES[version]
        remember = f"update @flows{version} {{ {ip} daddr . {ip} saddr . meta l4proto . th dport . th sport }}"
        rules += [f"{match} {remember} accept" for match in _matches(openings, version)]
        rules += [f"{DHCP[version][0]} {DHCP_PACE} accept"]
    # The program learns at once, its established connections too.
    rules += [f"{SENT_BY_A_PROGRAM} meta l4proto tcp reject with tcp reset"]
    rules += [f"{SENT_BY_A_PROGRAM} reject with icmpx type admin-prohibited"]
    # ARP does not come this way.
    return [*rules, *(rule for version in versions for rule in OWN_OF_THE_KERNEL[version] if "arp" not in rule)]


def _leaving(openings: Sequence[Opening]) -> list[str]:
    rules = []
    for version in _versions(openings):
        # `socket cgroupv2` is not to be had here. A frame that is only bridged has no program.
        rules += [f"{SENT_BY_A_PROGRAM} {match} accept" for match in _matches(openings, version, cgroups=False)]
        rules += [f"{DHCP[version][0]} {DHCP_PACE} accept"]
    own = [rule for version in _versions(openings) for rule in OWN_OF_THE_KERNEL[version]]
    return [*rules, f"{SENT_BY_A_PROGRAM} drop", *own]


def _matches(openings: Sequence[Opening], version: int, *, cgroups: bool = True) -> list[str]:
    return [_match(opening, version, cgroups=cgroups) for opening in openings if opening.has(version)]


def _match(opening: Opening, version: int, *, cgroups: bool) -> str:
    remotes, words = opening.far_ends(version), list[str]()
    if opening.uid is not None:
        words.append(f"meta skuid {opening.uid}")
    if opening.cgroup is not None and cgroups:
        path, level = opening.cgroup
        words.append(f'socket cgroupv2 level {level} "{path}"')
    words.append(f"meta l4proto {_any_of(opening.protocols)}")
    if remotes:
        words.append(f"{FAMILIES[version]} daddr {_any_of(remotes)}")
    if opening.ports:
        words.append(f"th dport {_any_of(opening.ports)}")
    return " ".join(words)


def _any_of(values: Iterable[object]) -> str:
    return f"{{ {', '.join(map(str, values))} }}"


def _hook(hook: str, priority: int = AFTER_THE_ADMINISTRATORS) -> str:
    return TOP.format(hook=hook, priority=priority)


def _chain(chain: str, hook: str, rules: Iterable[str]) -> list[str]:
    return [f"add chain {chain}" + (f" {{ {hook} }}" if hook else ""), *(f"add rule {chain} {rule}" for rule in rules)]


def _versions(openings: Sequence[Opening]) -> list[int]:
    """Return the IP versions that are needed at all: of the others not even neighbours are asked."""
    return [version for version in FAMILIES if any(opening.has(version) for opening in openings)]
