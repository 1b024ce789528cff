"""What readers bring in whole: an investigation package, a sample."""

from datetime import datetime
from pathlib import Path
from typing import Protocol

from quell.remediation.v1 import result_pb2


class Uploads(Protocol):
    """The way of a file to where people can take it from."""

    async def bring(self, action: str, path: Path, delete_time: datetime | None = None) -> result_pb2.Artifact:
        """Bring a file in for an action (its bare id), and return what the outcome of the action names.

        It goes on by itself, for as long as it takes, when the way breaks; what was brought already is not sent again.
        It is never sent twice for one action and content, so that a reading that is begun anew after a crash names the
        same artifact. The file must not change meanwhile; it stays, and belongs to the caller. `delete_time` is when it
        is thrown away; by the service's own setting if not set.

        Raises:
            RefusedError: STORE_FULL: there is no room for it. ACTION_UNKNOWN: nobody asked for it.

        """

    async def stored(
        self, action: str, artifact: result_pb2.Artifact, delete_time: datetime | None = None
    ) -> result_pb2.Artifact | None:
        """Return an artifact that this device brought in before, if it is stored still, now for another action too.

        It then stays at least as long as this action needs it. None: it is not stored any more.
        """
