"""The rules of an isolation are what the order and the channel say, and nothing else."""

import os
import pwd
import re
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quell.remediation.v1 import device_pb2

from quell_agent.isolation import canary, ruleset, tables
from quell_agent.isolation.control import ControlChannel, Endpoint
from quell_agent.isolation.namespaces import Namespaces
from quell_agent.isolation.openings import Opening, of_control, of_order
from quell_agent.isolation.state import Saved, State
from quell_agent.isolation.tables import Made

FOUR = Opening((ip_network("192.0.2.7"),), (443,), ("tcp",), uid=7)
SIX = Opening((ip_network("2001:db8::7"),), (443,), ("tcp",), uid=7)
HEADS = re.compile(r"hook (\w+).*policy (\w+)")
OPENINGS = st.builds(
    Opening,
    st.lists(st.sampled_from([ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")]), unique=True).map(tuple),
    st.lists(st.integers(1, 65535), max_size=2, unique=True).map(tuple),
    st.sampled_from([("tcp",), ("tcp", "udp")]),
    st.none() | st.integers(0, 70000),
)


@given(st.lists(OPENINGS, max_size=4))
def test_everything_is_dropped_that_no_rule_names(openings: list[Opening]) -> None:
    """Every hook drops, and every rule that accepts has a match before it, a user's or the kernel's own."""
    text = tables.script("t", openings, {2: "eth0", 3: "eth1"}, tables.FAMILIES)
    assert [found[1] for found in map(HEADS.search, text.splitlines()) if found and found[2] == "drop"] == [
        "input",
        "output",
        "forward",
        "egress",
        "egress",
        "forward",
    ]
    assert text.count("policy") == 6
    assert not [line for line in text.splitlines() if re.fullmatch(r"add rule \S+ \S+ \S+ accept", line)]


@pytest.mark.parametrize(("opening", "needs", "spares"), [(FOUR, "arp", "icmpv6"), (SIX, "icmpv6", "arp")])
def test_neighbours_are_asked_only_where_something_is_open(opening: Opening, needs: str, spares: str) -> None:
    """Without anything open by IPv6 there is no neighbour discovery, no router is believed; and so by IPv4."""
    text = tables.script("t", [opening], {2: "eth0"}, tables.FAMILIES)
    assert needs in text
    assert spares not in text


def test_what_programs_send_is_dropped_before_the_kernels_own_is_let_out() -> None:
    """Of the devices' rules: after this line only what no program sent can pass."""
    rules = [line.split("allowed ", 1)[1] for line in ruleset.netdev("t", [FOUR, SIX], {}) if "rule" in line]
    border = rules.index(f"{ruleset.SENT_BY_A_PROGRAM} drop")
    assert [rule for rule in rules if "arp" in rule or "icmpv6" in rule] == rules[border + 1 :]


def test_a_boot_has_no_devices_and_no_cgroups() -> None:
    """What is not there yet can't be named: the whole script would not be taken."""
    text = ruleset.at_boot([FOUR, Opening(cgroup=("backup", 1))], tables.FAMILIES)
    assert "cgroup" not in text
    assert "netdev" not in text
    assert "192.0.2.7" in text


def test_a_device_whose_name_would_break_out_of_the_script_is_left_out() -> None:
    """A name may hold a quotation mark."""
    text = "\n".join(ruleset.netdev("t", [], {2: 'a"; drop', 3: "eth0"}))
    assert "drop;" not in text.replace("policy drop;", "")
    assert '"eth0"' in text


def test_the_channel_is_each_address_and_port_for_one_user() -> None:
    """In whatever order, and however often, they are given."""
    ends = [Endpoint(ip_address(each), 443) for each in ("2001:db8::7", "192.0.2.7", "192.0.2.7")]
    assert of_control(ControlChannel(tuple(ends), 7)) == (FOUR, SIX)


def test_an_exclusion_of_what_is_no_more_opens_nothing() -> None:
    """A user that was deleted since does not become any user."""
    name = pwd.getpwuid(os.getuid()).pw_name
    order = device_pb2.IsolateDevice(
        exclusions=[
            device_pb2.NetworkExclusion(user="no-such-user", remotes=["192.0.2.7"]),
            device_pb2.NetworkExclusion(cgroup="no.such", remotes=["192.0.2.7"]),
            device_pb2.NetworkExclusion(user=name, remotes=["10.0.0.0/8", "10.1.0.0/16"], ports=[80, 22, 80]),
        ]
    )
    assert of_order(order) == (Opening((ip_network("10.0.0.0/8"),), (22, 80), uid=os.getuid()),)


def test_what_is_open_anyway_is_not_tried() -> None:
    """Trying to get out says something only where nothing is open for it."""
    everywhere = Opening((ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")))
    assert not canary.gets_out([everywhere], 0)
    assert not canary.gets_out([Opening(uid=0)], 0)


def test_added_rules_are_told_from_missing_ones() -> None:
    """Where a line stands counts, and not the order in which a set is told."""
    whole = "table inet t {\n\tchain a {\n\t\ttcp dport 1 accept\n\t}\n\tchain b {\n\t\tdrop\n\t}\n}\n"
    less = "table inet t {\n\tchain b {\n\t\tdrop\n\t}\n}\n"
    moved = "table inet t {\n\tchain b {\n\t\ttcp dport 1 accept\n\t}\n}\n"
    assert tables.rules_of(less) < tables.rules_of(whole)
    assert tables.rules_of(moved) - tables.rules_of(whole) == {("table inet t {", "chain b {", "tcp dport 1 accept")}


def test_state_is_kept_and_a_broken_one_says_nothing(tmp_path: Path) -> None:
    """What is not as we wrote it names no isolation, and no tables."""
    state = State(tmp_path / "isolation")
    saved = Saved("a1", device_pb2.IsolateDevice(device="devices/x", mode=device_pb2.ISOLATION_MODE_FULL))
    assert (state.saved(), state.script, state.made()) == (None, None, {})
    state.save(saved, "add table\n")
    state.keep_made({"own": Made("script", "listing")})
    assert (state.saved(), state.script, state.made()) == (saved, "add table\n", {"own": Made("script", "listing")})
    for broken in ("", "#\n", "#\n# {}\nx", "#\n# null\nx"):
        (tmp_path / "isolation/isolation.nft").write_text(broken)
        (tmp_path / "isolation/made.json").write_text(broken)
        assert (state.saved(), state.made()) == (None, {})
    assert (tmp_path / "isolation").stat().st_mode & 0o777 == 0o700


def test_an_agent_in_a_container_looks_at_no_other_namespace(tmp_path: Path) -> None:
    """Only who is in the namespace of the first process looks about."""
    for process, inode in {"self": "a", "1": "b", "7": "c"}.items():
        folder = tmp_path / "proc" / process / "ns"
        folder.mkdir(parents=True)
        (tmp_path / inode).touch()
        (folder / "net").hardlink_to(tmp_path / inode)
    (tmp_path / "proc/7/task/7/ns").mkdir(parents=True)
    (tmp_path / "proc/7/task/7/ns/net").hardlink_to(tmp_path / "c")
    assert Namespaces(tmp_path / "proc", tmp_path / "none").others() == {}
    (tmp_path / "proc/1/ns/net").unlink()
    (tmp_path / "proc/1/ns/net").hardlink_to(tmp_path / "a")
    ways = Namespaces(tmp_path / "proc", tmp_path / "none").others()
    assert list(ways) == [(tmp_path / "c").stat().st_ino]
