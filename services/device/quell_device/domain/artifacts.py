"""What artifacts are to the device service: what is kept of each, and what may be brought in. Pure."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from quell_device.domain.errors import ActionUnknownError, NoRoomError

BRINGING = frozenset({"collect_investigation_package", "request_sample"})
"""The kinds whose actions bring something in."""
LEAVING = "offboard_machine"
NOTED = BRINGING | {LEAVING}
"""The kinds of which it is kept that they were handed to a device."""
PART_BYTES = 1 << 20
"""An artifact is stored in parts of this size, the last one shorter; what is stored for good ends where a part ends."""
IN_ALL = ""
"""The key of what all devices use together."""


@dataclass(frozen=True)
class ErrandRecord:
    """An action that was handed to a device, and after which we do something: take in what it brings, or let it go."""

    action: str
    device: str
    kind: str
    time: datetime


@dataclass(frozen=True)
class ArtifactRecord:
    """An artifact, or as much of it as has come. `id` is made of device and content, so the same is stored once.

    `action` is the first that brought it in; `key` its data key, wrapped. `change_time` is when a part of it came last,
    and when it was wholly here once it is.
    """

    id: str
    device: str
    action: str
    kind: str
    size_bytes: int
    sha256: str
    key: bytes
    change_time: datetime
    delete_time: datetime
    stored_bytes: int = 0
    whole: bool = False
    """Whether all of it is here and is what was announced."""

    @property
    def name(self) -> str:
        """The resource name."""
        return f"artifacts/{self.id}"

    @property
    def parts(self) -> int:
        """How many parts are stored."""
        return -(-self.stored_bytes // PART_BYTES)


@dataclass(frozen=True)
class UsageRecord:
    """How many bytes the artifacts of a device take, or of all: whole ones, and those that are on their way."""

    device: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Quota:
    """How many bytes one device may use, and all together."""

    device_bytes: int
    total_bytes: int

    def admit(self, size: int, of_device: int, of_all: int) -> None:
        """Let so much more in, beside what is used.

        Raises:
            NoRoomError: It is too much.

        """
        if of_device + size > self.device_bytes:
            raise NoRoomError("the device has used up its share of the store")
        if of_all + size > self.total_bytes:
            raise NoRoomError("the store of artifacts is full")


def artifact_id(device: str, sha256: str, size_bytes: int) -> str:
    """Return the id of a content of a device."""
    return hashlib.sha256(f"{device} {sha256} {size_bytes}".encode()).hexdigest()[:32]


def checked(errand: ErrandRecord | None, device: str) -> ErrandRecord:
    """Return the errand of an action, if it is the device's.

    Raises:
        ActionUnknownError: There is none, or it is another's, which is not told.

    """
    if errand is None or errand.device != device or errand.kind not in BRINGING:
        raise ActionUnknownError("no action of this device that brings something in has this name")
    return errand
