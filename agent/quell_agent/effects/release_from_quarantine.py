"""Give quarantined files back: it chooses which; how they come back is the quarantine's own undo."""

from quell.remediation.v1 import device_pb2

from quell_executor.effect import Owned


class ReleaseFromQuarantine:
    """The release of `stop_and_quarantine`."""

    def names(self, order: device_pb2.ReleaseFromQuarantine) -> frozenset[str]:
        """Return the action, or the content."""
        return frozenset({f"device.content:{order.sha256}" if order.WhichOneof("item") == "sha256" else order.action})

    def chooses(self, order: device_pb2.ReleaseFromQuarantine, owned: Owned) -> bool:
        """Tell whether the action took it, or it has the content, or would start that."""
        if order.WhichOneof("item") == "sha256":
            file = owned.item.start.file if owned.item.HasField("start") else owned.item.file
            return file.sha256 == order.sha256
        return owned.action == order.action
