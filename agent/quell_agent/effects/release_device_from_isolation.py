"""Let the device have its network again: how is the isolation's own undo."""

from quell.remediation.v1 import device_pb2

from quell_agent.effects.isolate_device import KEY
from quell_executor.effect import Owned


class ReleaseDeviceFromIsolation:
    """The release of `isolate_device`."""

    def names(self, order: device_pb2.ReleaseDeviceFromIsolation) -> frozenset[str]:  # noqa: ARG002 - a device has one network
        """Return the network."""
        return frozenset({KEY})

    def chooses(self, order: device_pb2.ReleaseDeviceFromIsolation, owned: Owned) -> bool:  # noqa: ARG002 - as above
        """Tell that the network is meant."""
        return owned.key == KEY
