"""What others do to an isolation is refused by the kernel, or noticed at once and made good."""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from effect_runs import Silent
from eventually import eventually
from isolation_world import ACTION, FULL, Device
from network_lab import WORLD
from quell_executor.effect import Plan

Change = Callable[[Device], None]
WAYS = [f"device udp {WORLD} 53", "device frame w0 88b5", f"container udp {WORLD} 53"]


def table(device: Device, family: str, namespace: str = "device") -> str:
    """Return the name of our table."""
    words = [line.split() for line in device.lab.run(namespace, "nft", "list", "tables").splitlines()]
    (name,) = [name for _, kind, name in words if kind == family and name.startswith("quell")]
    return name


async def noticed(device: Device, plan: Plan, change: Change, reason: str = "RULES_DIFFER") -> None:
    """Change something while the effect watches: it notices, finds it failed, and makes it so again."""
    watching = asyncio.create_task(device.agent.moved(plan))
    # It listens before it looks, so what happens at any time from here on is noticed.
    await device.agent.marks()
    assert not watching.done()
    change(device)
    began = time.perf_counter()
    await asyncio.wait_for(watching, 20)
    print(f"noticed after {1e3 * (time.perf_counter() - began):.1f} ms")  # noqa: T201 - measured, for who reads it
    assert (await device.states(plan), await device.reasons(plan)) == (["FAILED"], [reason])
    await device.isolate()
    assert await device.leaking(WAYS) == []


def flushed(device: Device) -> None:
    """Take all rules away."""
    device.lab.nft("flush ruleset")


def chain_deleted(device: Device) -> None:
    """Take the rules off one way out."""
    name = table(device, "netdev")
    (chain,) = re.findall(r'chain (out\d+) \{\s+type filter hook egress device "w0"', device.lab.ruleset())
    device.lab.nft(f"flush chain netdev {name} {chain}\ndelete chain netdev {name} {chain}")


def table_deleted(device: Device) -> None:
    """Take one table away."""
    device.lab.nft(f"delete table inet {table(device, 'inet')}")


def door_opened(device: Device) -> None:
    """Let everything out, at the top of our own chain."""
    device.lab.nft(f"insert rule inet {table(device, 'inet')} output accept")


def policy_changed(device: Device) -> None:
    """Let everything out that no rule names."""
    name = table(device, "inet")
    device.lab.nft(f"add chain inet {name} output {{ policy accept; }}\nflush chain inet {name} output")


def device_added(device: Device) -> None:
    """Bring a new device up."""
    pid = device.lab.pids["world"]
    device.lab.run("device", "ip", *f"link add n0 type veth peer name n0 netns {pid}".split())
    device.lab.run("device", "ip", "link", "set", "n0", "up")
    device.lab.run("world", "ip", "link", "set", "n0", "up")


def device_renamed(device: Device) -> None:
    """Call a device by another name: rules for a device go by its name."""
    for change in ("down", "name w9", "up"):
        device.lab.run("device", "ip", "link", "set", "w9" if change == "up" else "w0", *change.split())


def file_deleted(device: Device) -> None:
    """Let the next boot not isolate."""
    (device.data / "isolation/isolation.nft").unlink()


def container_flushed(device: Device) -> None:
    """Take all rules away in another namespace."""
    device.lab.nft("flush ruleset", "container")


def boot_script_run(device: Device) -> None:
    """Isolate a second time by hand."""
    device.lab.run("device", "nft", "-f", str(device.data / "isolation/isolation.nft"))


async def test_nobody_else_can_change_our_tables(device: Device) -> None:
    """Where the kernel can: others are refused, `flush ruleset` spares them; and so after the agent was killed."""
    plan = await device.isolate()
    await device.restart()
    assert await device.states(plan) == ["DONE"]
    watching = asyncio.create_task(device.agent.moved(plan))
    await eventually(lambda: _owners(device), lambda tables: tables == 3)
    for change in (
        f"delete table inet {table(device, 'inet')}",
        f"insert rule inet {table(device, 'inet')} output accept",
        f"flush chain netdev {table(device, 'netdev')} allowed",
    ):
        device.lab.nft(change, check=False)
    device.lab.nft("flush ruleset", check=False)
    assert await device.leaking(WAYS) == []
    assert await device.states(plan) == ["DONE"]
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    await device.release(plan)


async def _owners(device: Device) -> int:
    return device.lab.ruleset().count("flags owner")


async def test_a_new_agent_holds_the_devices_queues(device: Device) -> None:
    """An AF_XDP socket gets none, before and after the agent was killed; released, it gets one."""
    way = "device express w0"
    plan = await device.isolate()
    assert not await device.leaks(way)
    await device.restart()
    watching = asyncio.create_task(device.agent.moved(plan))
    await eventually(lambda: device.leaks(way), lambda leaks: not leaks)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    await device.release(plan)
    assert await device.leaks(way)


@pytest.mark.parametrize("change", [device_added, device_renamed, file_deleted, container_flushed, boot_script_run])
async def test_what_changes_is_noticed(device: Device, change: Change) -> None:
    """Devices, namespaces and files are looked after while it stands; a frame on a new device does not get out."""
    plan = await device.isolate()
    await noticed(device, plan, change, "NOT_AT_BOOT" if change is file_deleted else "RULES_DIFFER")
    if change is device_added:
        assert not await device.leaks("device frame n0 88b5")
    if change is device_renamed:
        assert not await device.leaks("device frame w9 88b5")


@pytest.mark.parametrize(
    "change", [flushed, chain_deleted, table_deleted, door_opened, policy_changed, device_added, container_flushed]
)
async def test_what_changes_is_noticed_on_older_kernels(device: Device, change: Change) -> None:
    """Where tables can't be owned, each change of them is heard, and made good; the same checks see what it opens."""
    await device.restart(own=False)
    plan = await device.isolate()
    assert "flags owner" not in device.lab.ruleset()
    await noticed(device, plan, change)
    await device.release(plan)


@pytest.mark.parametrize(
    ("change", "opens"),
    # What the stack lets out, the devices' own rules stop once more; and a container has rules of its own.
    [(flushed, WAYS[:2]), (chain_deleted, WAYS[1:2]), (table_deleted, []), (door_opened, []), (policy_changed, [])],
)
async def test_changes_while_no_agent_runs_are_made_good(device: Device, change: Change, opens: list[str]) -> None:
    """Killed, it stays isolated; what is changed then is seen at the next start."""
    plan = await device.isolate()
    await device.agent.kill()
    assert await device.leaking(WAYS) == []
    change(device)
    assert await device.leaking(WAYS) == opens
    await device.restart()
    await asyncio.wait_for(device.agent.moved(plan), 10)
    assert await device.states(plan) == ["FAILED"]
    await device.isolate()
    assert await device.leaking(WAYS) == []


async def test_what_gets_out_though_every_rule_stands_is_told(device: Device) -> None:
    """Sent to the loopback, which is open, and out by a device from there, past its rules; gone, all is well again."""
    way, loopback = "device udp 192.0.2.1 53", ("device", "tc", "qdisc")
    device.lab.run("device", "ip", "route", "add", "192.0.2.1/32", "dev", "lo", "src", "10.90.2.1")
    device.lab.run(*loopback, "add", "dev", "lo", "clsact")
    redirect = "filter add dev lo egress u32 match ip dst 192.0.2.1 action mirred egress redirect dev w0"
    if device.lab.code("device", "tc", *redirect.split()):
        pytest.skip("this kernel redirects nothing from device to device (u32, mirred)")
    plan = replace(await device.agent.plan(FULL, None), action=ACTION)
    await device.agent.apply(plan, Silent())
    assert await device.leaks(way)
    assert (await device.states(plan), await device.reasons(plan)) == (["FAILED"], ["STILL_GETS_OUT"])
    device.lab.run(*loopback, "del", "dev", "lo", "clsact")
    device.lab.run("device", "ip", "route", "del", "192.0.2.1/32", "dev", "lo")
    assert not await device.leaks(way)
    assert await device.states(plan) == ["DONE"]
    await device.release(plan)


async def test_others_rules_in_our_tables_are_not_thrown_away(device: Device) -> None:
    """A release that would delete a rule that is not ours is a conflict, which says what differs."""
    plan = await device.isolate()
    await device.agent.kill()
    door_opened(device)
    await device.restart()
    back = await device.agent.plan_revert(plan)
    (found,) = await device.agent.probe(back)
    assert found.failure is not None
    assert (found.failure.reason, await device.states(back)) == ("OTHERS_RULES", ["CONFLICT"])
    assert "chain output" in found.failure.message


async def test_the_administrators_rules_may_change_meanwhile(device: Device) -> None:
    """Rules that others add or take away elsewhere are theirs: the isolation stands, and a release leaves them."""
    plan = await device.isolate()
    device.lab.nft(
        "add table inet later { chain output { type filter hook output priority 0; policy accept; accept; }; }"
    )
    device.lab.nft("delete table ip nat")
    assert await device.states(plan) == ["DONE"]
    assert await device.leaking(WAYS) == []
    await device.release(plan)
    rules = device.lab.ruleset()
    assert "table inet later" in rules
    assert "table ip nat" not in rules
