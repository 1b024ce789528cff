"""The port to what sends a mailbox's mail on: Sieve scripts, `.forward`. What a backend has of it, it lists."""

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from quell.remediation.v1 import forwarding_pb2

from quell_executor.effect import RefusedError

RULE = forwarding_pb2.FORWARDING_MECHANISM_RULE
FILE = forwarding_pb2.FORWARDING_MECHANISM_FILE
MOST_SCRIPT_BYTES = 1 << 20
"""Bytes of a script that servers run; Pigeonhole's own limit."""
MOST_SCRIPTS, MOST_BYTES = 500, 32 << 20
"""Places of one mailbox, and bytes in all of them, that are read at once."""
TURNED_OFF = (
    b"# Turned off by the security team: it may send mail outside, and can't be changed in part.\r\n"
    b"# Ask them to have it back as it was.\r\n"
)
"""What stands instead of what is turned off as a whole: nothing but comments, so that mail is kept."""


@dataclass(frozen=True, slots=True)
class Script:
    """A script or a file of a mailbox that may send its mail on, as it is now.

    `place` tells it from the others of its mailbox, `name` is what other scripts include it by. `active`: the server
    runs it by itself. `link` is where it leads to, if it is a link to what is no place of this mailbox; it has no
    content then. `record` is whatever else the backend needs to restore it exactly.
    """

    place: str
    mechanism: forwarding_pb2.ForwardingMechanism.ValueType
    content: bytes
    active: bool
    name: str = ""
    link: str = ""
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """The place for people and keys: text, whatever bytes a file's name has, and another for each."""
        return self.place.replace("\\", "\\\\").encode("utf-8", "backslashreplace").decode()

    def reads_as(self, other: "Script") -> bool:
        """Tell whether both do the same where they are run."""
        return (self.content, self.link) == (other.content, other.link)

    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {**asdict(self), "content": base64.b64encode(self.content).decode()}


def within_limits(scripts: Iterable[Script]) -> Iterator[Script]:
    """Yield scripts, up to what is read of one mailbox.

    Raises:
        RefusedError: TOO_MANY_SCRIPTS: there is more.

    """
    size = 0
    for number, script in enumerate(scripts, 1):
        size += len(script.content)
        if number > MOST_SCRIPTS or size > MOST_BYTES:
            raise RefusedError("TOO_MANY_SCRIPTS", "it has more scripts than can be read: look by hand")
        yield script


def script_of(plain: Mapping[str, Any]) -> Script:
    """Return what was made `plain`."""
    return Script(**{**plain, "content": base64.b64decode(plain["content"])})


@dataclass(frozen=True, slots=True)
class Judged:
    """What a script or a file is like.

    `disarmed` is what is to stand instead: the same bytes if it sends nothing outside. `outside` and `inside` are where
    it sends mail, an empty text for what can't be told. `whole` says why it is turned off as a whole, empty if it is
    not, and `rules` what else it does.
    """

    disarmed: bytes
    outside: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()
    whole: str = ""
    rules: tuple[str, ...] = ()


class Forwards(Protocol):
    """What sends mail on, by canonical address of the mailbox. Nothing here decides whether it may be changed."""

    async def read(self, mailbox: str) -> Sequence[Script]:
        """Return every place of a mailbox that is there, active or not.

        Raises:
            RefusedError: MAILBOX_UNKNOWN: there is no such mailbox. BACKEND_AWAY: it can't be read now.

        """

    async def replace(self, mailbox: str, old: Script, new: Script) -> bool:
        """Put `new` where `old` is, if that still reads as `old`; tell whether it reads as `new` now.

        What somebody else has written meanwhile stays. Which script is active stays, too. Durable when it returns; once
        begun it goes to its end.
        """
