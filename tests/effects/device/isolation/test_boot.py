"""After a reboot an isolated device is isolated before it has a network, without the agent and without Python."""

import re
from functools import partial
from operator import eq
from pathlib import Path

import pytest
from quell.remediation.v1 import device_pb2

from eventually import eventually
from isolation_world import Device, selective
from network_lab import GATEWAY, GATEWAY6, PORT, TALKER, WORLD, WORLD6
from quell_agent.isolation import ruleset

SYSTEMD = Path(__file__).parents[4] / "deploy/systemd"
UNIT = SYSTEMD / "quell-agent-isolation.service"
OURS = [f"device tcp {GATEWAY} {PORT} m0 {TALKER}", f"device tcp {GATEWAY6} {PORT} m0 {TALKER}"]
WAYS = [f"device udp {WORLD} 53", f"device tcp {WORLD6} 443", f"container udp {WORLD} 53", "container udp 10.90.5.9 53"]
ONE = device_pb2.NetworkExclusion(remotes=["10.90.2.3"], ports=[443])


def boot(device: Device, script: Path) -> list[int]:
    """Do what the unit does, with the device's own script, and return how each command ended."""
    commands = re.findall(r"^ExecStart=(.+)$", UNIT.read_text(), re.MULTILINE)
    places = {
        "/usr/lib/quell-agent/isolation-minimal.nft": str(SYSTEMD / "isolation-minimal.nft"),
        "/var/lib/quell-agent/isolation/isolation.nft": str(script),
    }
    return [device.lab.code("device", *(places.get(word, word) for word in each.split())) for each in commands]


def rebooted(device: Device) -> None:
    """Lose all rules, as a reboot does."""
    for name in ("device", "container", "aside"):
        device.lab.nft("flush ruleset", name)


async def test_a_reboot_does_not_open_it(device: Device) -> None:
    """Only what the order leaves open is so at boot; the agent, once it runs, makes it whole, and releases it."""
    before = device.lab.ruleset()
    plan = await device.isolate(selective(ONE))
    await device.agent.kill()
    rebooted(device)
    # Control: without the unit all is open.
    # Neighbours that were lost meanwhile take their time to be found again.
    await eventually(partial(device.leaking, [*WAYS, *OURS]), partial(eq, [*WAYS, *OURS]), 30)
    device.lab.nft(before)
    assert boot(device, device.data / "isolation/isolation.nft") == [0, 0]
    assert await device.leaking([*WAYS, *OURS, "device tcp 10.90.2.3 443"]) == [*OURS, "device tcp 10.90.2.3 443"]
    await device.restart()
    assert await device.states(plan) == ["FAILED"]
    await device.isolate(selective(ONE))
    assert await device.leaking([*WAYS, "device frame w0 88b5", "aside udp 10.90.6.2 53"]) == []
    await device.release(plan)
    assert device.lab.ruleset() == before


async def test_released_right_after_a_reboot(device: Device) -> None:
    """What the unit has made is taken away like what the agent makes."""
    before = device.lab.ruleset()
    plan = await device.isolate()
    await device.agent.kill()
    rebooted(device)
    device.lab.nft(before)
    boot(device, device.data / "isolation/isolation.nft")
    await device.restart()
    await device.release(plan)
    assert device.lab.ruleset() == before


@pytest.mark.parametrize("text", ["", "add rule inet nothing {", "delete table inet quell_isolation\nnonsense"])
async def test_a_broken_script_leaves_everything_shut(device: Device, text: str) -> None:
    """If what was saved can't be used, the built-in minimum holds, until the agent makes it right."""
    plan = await device.isolate()
    await device.agent.kill()
    rebooted(device)
    script = device.data / "isolation/isolation.nft"
    script.write_text(text)
    assert boot(device, script)[0] == 0
    assert await device.leaking([*WAYS[:3], *OURS]) == []
    await device.restart()
    await device.isolate()
    assert await device.leaking([*WAYS, *OURS]) == OURS
    await device.release(plan)


async def test_a_released_device_boots_open(device: Device) -> None:
    """The script is gone, and by that the unit does nothing."""
    await device.release(await device.isolate())
    condition = re.findall(r"^ConditionPathExists=/var/lib/quell-agent/(.+)$", UNIT.read_text(), re.MULTILINE)
    assert condition == ["isolation/isolation.nft"]
    assert list((device.data / "isolation").iterdir()) == []


def test_the_minimum_is_what_the_rules_are_without_any_opening() -> None:
    """It is written down as a file, since nothing of ours may have to run; it says what the code would."""
    assert (SYSTEMD / "isolation-minimal.nft").read_text().split("\n", 1)[1] == ruleset.at_boot((), ("inet",))
