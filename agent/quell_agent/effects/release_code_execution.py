"""Let every program start again: what was restricted, all of it, by the restriction's own undo."""

from quell.remediation.v1 import device_pb2

from quell_executor.effect import Owned


class ReleaseCodeExecution:
    """The release of `restrict_code_execution`."""

    def names(self, order: device_pb2.ReleaseCodeExecution) -> frozenset[str]:  # noqa: ARG002 - a device has one
        """Return the device's execution of code."""
        return frozenset({"device.execution"})

    def chooses(self, order: device_pb2.ReleaseCodeExecution, owned: Owned) -> bool:  # noqa: ARG002 - all of it
        """Tell that everything of the restriction is meant."""
        return True
