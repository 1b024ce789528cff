"""What the policy says of one device: its group, by its newest tags, and whether it is protected."""

from collections.abc import Callable

import pytest
from quell.executor.v1 import target_report_pb2

from center_bench import Bench
from quell_actioncenter.domain.errors import DeviceUnknownError
from quell_actioncenter.domain.policy_yaml import default_document
from quell_runtime.sealing import SealKey

AGENT = SealKey(bytes([9] * 32))
CONNECTED, BANNED = target_report_pb2.TARGET_STATE_CONNECTED, target_report_pb2.TARGET_STATE_BANNED
GROUP = "{name: servers, tags: [server], verdicts: {malicious: approval, suspicious: none}}"
DOCUMENT = (
    default_document()
    .replace("device_groups: []", f"device_groups: [{GROUP}]")
    .replace("protected:\n", "protected:\n  host_names: ['db-*']\n")
)


def test_group_and_protection_are_told_until_the_device_is_gone(play: Callable[..., None]) -> None:
    """Tags choose the group as they are reported now; a banned device is as unknown as one never seen."""

    async def told(bench: Bench, device: str) -> tuple[str, bool]:
        found = await bench.center.policies.of_device(device)
        return found.group, found.protected

    async def story(bench: Bench) -> None:
        await bench.center.policies.load(DOCUMENT)
        device = bench.device.send_target(AGENT, CONNECTED, "web-1")
        await bench.settle()
        assert await told(bench, device) == ("", False)
        bench.device.send_target(AGENT, CONNECTED, "db-1", ["lab", "server"])
        await bench.settle()
        assert await told(bench, device) == ("servers", True)
        bench.device.send_target(AGENT, BANNED)
        await bench.settle()
        with pytest.raises(DeviceUnknownError):
            await told(bench, device)

    play(story)
