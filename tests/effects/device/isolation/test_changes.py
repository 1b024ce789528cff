"""What stays open is what was ordered; it is changed in place, and follows our gateway."""

import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from quell.remediation.v1 import device_pb2

from isolation_world import ACTION, FULL, Device, selective
from network_lab import GATEWAY, PORT, ROLES, TALKER, WORLD, WORLD6
from quell_executor.effect import RefusedError

SECOND = ACTION.replace("0001", "0002")
NOBODY = device_pb2.NetworkExclusion(user="nobody")
ONE = device_pb2.NetworkExclusion(remotes=["10.90.2.3/32", "10.90.2.3"], ports=[443, 853])
OTHER = device_pb2.NetworkExclusion(remotes=["10.90.2.2"], ports=[443])


async def test_a_user_is_excluded(device: Device) -> None:
    """Its own traffic passes and is answered, by IPv4 and IPv6; nobody else's does."""
    await device.isolate(selective(NOBODY))
    for host in (WORLD, WORLD6):
        session = await device.lab.role("device", "client", host, "443", "65534")
        assert await session.ask("excluded") == "excluded"
        assert not await device.leaks(f"device tcp {host} 443")


async def test_all_that_is_set_must_match(device: Device) -> None:
    """A user's exclusion that names a far end opens nothing else."""
    await device.isolate(selective(device_pb2.NetworkExclusion(user="nobody", remotes=[WORLD], ports=[443])))
    ways = [f"device tcp {WORLD} 443 w0 65534", f"device tcp {WORLD} 853 w0 65534", "device tcp 10.90.2.3 443 w0 65534"]
    assert await device.leaking(ways) == ways[:1]


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """Return a cgroup of the test's own."""
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    roots = [Path(words[4]) for words in mounts if "cgroup2" in words[words.index("-") :]]
    if os.geteuid() != 0 or not roots or not os.access(roots[0], os.W_OK):
        pytest.skip("there is no cgroup of version 2 that can be written")
    made = roots[0] / f"quell-test-{secrets.token_hex(4)}"
    made.mkdir()
    yield made
    for process in (made / "cgroup.procs").read_text().split():
        (made.parent / "cgroup.procs").write_text(process)
    made.rmdir()


async def test_a_cgroup_is_excluded(device: Device, cgroup: Path) -> None:
    """What runs in it passes; the same outside of it does not."""
    await device.isolate(selective(device_pb2.NetworkExclusion(cgroup=cgroup.name, remotes=[WORLD])))
    assert not await device.leaks(f"device tcp {WORLD} 443")
    token = secrets.token_hex(6)
    script = f"echo $$ > {cgroup}/cgroup.procs; exec {sys.executable} {ROLES} attempt {token} tcp {WORLD} 443"
    process = await device.lab.start("device", "sh", "-c", script)
    await process.wait()
    assert await device.lab.heard(token) > 0


async def test_exclusions_are_changed_in_place(device: Device) -> None:
    """At no time is more open than the old or the new order says, our channel lives on, and undo opens all."""
    before, lab = device.lab.ruleset(), device.lab
    ours = await lab.role("device", "client", GATEWAY, str(PORT), str(TALKER))
    first = await device.isolate(selective(ONE))
    assert await device.leaking(["device tcp 10.90.2.3 443", "device tcp 10.90.2.2 443"]) == [
        "device tcp 10.90.2.3 443"
    ]
    second = await device.isolate(selective(OTHER), SECOND)
    assert await device.leaking(["device tcp 10.90.2.3 443", "device tcp 10.90.2.2 443"]) == [
        "device tcp 10.90.2.2 443"
    ]
    await device.isolate(FULL, SECOND)
    assert await device.leaking(["device tcp 10.90.2.3 443", "device tcp 10.90.2.2 443"]) == []
    assert await ours.ask("through-all") == "through-all"
    assert await device.states(second) == ["FAILED"]
    await device.release(first)
    assert device.lab.ruleset() == before


async def test_equal_orders_are_done_already(device: Device) -> None:
    """The same, in whatever order it is written, needs nothing; another one does."""
    await device.isolate(selective(ONE, NOBODY))
    again = device_pb2.NetworkExclusion(remotes=["10.90.2.3"], ports=[853, 443])
    assert await device.states(await device.agent.plan(selective(again, NOBODY), None)) == ["DONE"]
    assert await device.states(await device.agent.plan(selective(again), None)) == ["PLANNED"]
    assert await device.states(await device.agent.plan(FULL, None)) == ["PLANNED"]


async def test_the_channel_follows_our_gateway(device: Device) -> None:
    """When it has another address, the isolation is no longer as it should be; made anew, only that one is open."""
    plan = await device.isolate()
    elsewhere = f"device tcp 10.90.2.3 {PORT} w0 {TALKER}"
    assert not await device.leaks(elsewhere)
    await device.agent.gateways("10.90.2.3")
    await device.agent.moved(plan)
    assert await device.reasons(plan) == ["RULES_DIFFER"]
    await device.isolate()
    assert await device.leaking([elsewhere, f"device tcp {GATEWAY} {PORT} m0 {TALKER}"]) == [elsewhere]


async def test_what_is_not_there_is_refused(device: Device) -> None:
    """An unknown user, an unknown cgroup, a path that climbs, no gateway: nothing is changed."""
    before = device.lab.ruleset()
    for wrong, reason in (
        (device_pb2.NetworkExclusion(user="no-such-user"), "USER_UNKNOWN"),
        (device_pb2.NetworkExclusion(cgroup="no.such/cgroup"), "CGROUP_UNKNOWN"),
        (device_pb2.NetworkExclusion(cgroup="../cgroup"), "CGROUP_UNKNOWN"),
    ):
        with pytest.raises(RefusedError, match=reason):
            await device.agent.plan(selective(wrong), None)
    await device.agent.gateways()
    with pytest.raises(RefusedError, match="NO_CONTROL_CHANNEL"):
        await device.agent.plan(FULL, None)
    assert device.lab.ruleset() == before


async def test_the_mark_says_whose_it_is(device: Device) -> None:
    """The file that isolates at boot names the action and the order, and what it says can be taken back."""
    before = device.lab.ruleset()
    assert await device.agent.marks() == []
    await device.isolate(selective(ONE))
    (mark,) = await device.agent.marks()
    assert (mark.action, mark.remediation.isolate_device) == (ACTION, selective(ONE))
    plan = await device.agent.plan(selective(ONE), None)
    await device.release(plan.__class__((mark.item,), plan.names, action=mark.action))
    assert await device.agent.marks() == []
    assert device.lab.ruleset() == before
