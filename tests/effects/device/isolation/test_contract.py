"""The isolation keeps the kit's contract of effects."""

import re
from typing import Any

import pytest
from google.protobuf.message import Message

from isolation_world import FULL, Device
from quell_executor.contract import EffectContract
from quell_executor.effect import Effect


class Network:
    """The network of a device, with an administrator's own rules."""

    def __init__(self, device: Device) -> None:
        """Take the device."""
        self._device = device

    @property
    def effect(self) -> Effect[Any]:
        """The effect, as a process that was just started has it."""
        return self._device.agent

    @property
    def order(self) -> Message:
        """The order to isolate it."""
        return FULL

    async def look(self) -> object:
        """Return every rule in every namespace, but for the names that our tables get anew each time, and counters."""
        listings = [
            self._device.lab.run(name, "nft", "--stateless", "--terse", "list", "ruleset")
            for name in ("device", "container", "aside")
        ]
        return [re.sub(r"(quell_isolation)_[0-9a-f]{8}|(?m: # progname.*$)", r"\1", listing) for listing in listings]

    async def disturb(self) -> None:
        """Add a rule to our table, while the agent does not run and so can't forbid it."""
        device = self._device
        await device.restart()
        (table,) = [line for line in device.lab.ruleset().splitlines() if line.startswith("table inet quell")]
        device.lab.nft(f"add rule inet {table.split()[2]} forward ip daddr 192.0.2.1 accept")


class TestIsolateDevice(EffectContract):
    """It keeps the contract."""

    @pytest.fixture
    def world(self, device: Device) -> Network:
        """Return its network."""
        return Network(device)
