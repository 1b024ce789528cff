"""What the device service keeps: devices, the tokens that let them in, and the newest words of the Action Center."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, auto

from quell.device.v1 import agent_service_pb2
from quell.executor.v1 import executor_service_pb2
from quell.warrant.v1 import seal_pb2


class DeviceState(StrEnum):
    """Where a device is. Names are those of `TargetState`."""

    CONNECTED = auto()
    AWAY = auto()
    BANNED = auto()
    OFFBOARDED = auto()


GONE = (DeviceState.BANNED, DeviceState.OFFBOARDED)
"""Where a device stays for good: its key counts no more."""


@dataclass(frozen=True)
class DeviceRecord:
    """An enrolled device. Its id is made of its identity key; host name and tags are labels."""

    id: str
    identity_key: bytes
    enrolment: seal_pb2.Sealed
    tags: tuple[str, ...]
    enrol_time: datetime
    last_seen_time: datetime
    state: DeviceState = DeviceState.AWAY
    host_name: str = ""
    os: str = ""
    hello: executor_service_pb2.ExecutorHello | None = None
    """The last one, for the kinds in it."""
    facts: agent_service_pb2.DeviceFacts | None = None
    ban: str = ""
    """Who banned it, and why."""

    @property
    def name(self) -> str:
        """The resource name."""
        return f"devices/{self.id}"


@dataclass(frozen=True)
class TokenRecord:
    """An enrolment token, of which only the digest is kept."""

    digest: str
    tags: tuple[str, ...]
    expire_time: datetime
    used_by: str = ""
    """The device that came with it; nobody else can, and that one may come again."""


@dataclass(frozen=True)
class WordRecord:
    """The newest of what the Action Center said to all: `key_set` and `freeze`, as sealed, and the number of its start.

    `number` is the version, the epoch or the start. A lower one never replaces a higher.
    """

    name: str
    number: int
    sealed: seal_pb2.Sealed | None = None
