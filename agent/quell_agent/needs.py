"""What each kind needs of a machine, for people: for which user it is there, and what newer kernels add.

Whether it is there, `offers` finds out where it runs; a test holds the two against each other as an ordinary user.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

LINUX = "5.6"
"""The agent itself: files are opened by `openat2`, processes stopped by `pidfd`."""


@dataclass(frozen=True, slots=True)
class Needs:
    """`ordinary` and `root`: what it reaches for an agent of an ordinary user (empty: it is not offered), and of root.

    `also` is what has to be there besides; `later` what a kernel from some version on adds.
    """

    ordinary: str
    root: str = "everything"
    also: str = ""
    later: Mapping[str, str] = field(default_factory=dict)


READ = "what that user may read"
ISOLATION = Needs(
    "",
    "every network namespace",
    "nftables in the kernel, and its library",
    {"5.16": "what packet sockets send is stopped too", "6.9": "no other process can change the rules"},
)
RESTRICTION = Needs(
    "",
    "every local file system",
    "fanotify permission events, dpkg's database",
    {"5.19": "the memory of what may start can be freed", "6.6": "programs without a file (memfd) are refused"},
)
QUARANTINE = Needs("that user's own files and processes")

NEEDS: Mapping[str, Needs] = {
    "collect_investigation_package": Needs(READ),
    "isolate_device": ISOLATION,
    "release_device_from_isolation": ISOLATION,
    "offboard_machine": Needs("the agent", "the agent"),
    "restrict_code_execution": RESTRICTION,
    "release_code_execution": RESTRICTION,
    "run_antivirus_scan": Needs(READ, also="yara-x, a folder of rules"),
    "stop_and_quarantine": QUARANTINE,
    "release_from_quarantine": QUARANTINE,
    "request_sample": Needs(READ, also="pyzipper"),
}
