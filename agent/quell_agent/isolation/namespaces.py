"""The other network namespaces of this machine: a container's, or one that hides an uplink behind a Unix socket."""

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from quell_agent.files import LIBC

NET = 0x40000000
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Namespaces:
    """Where namespaces are found: those that some thread is in, and those that were given a name.

    One that is only held by an open descriptor is not found.
    """

    processes: Path = Path("/proc")
    names: Path = Path("/run/netns")

    def others(self) -> dict[int, Path]:
        """Return a way to each, by inode, but for this process's own.

        An agent that is in a container itself leaves the machine around it alone: it looks about only from the
        namespace of the first process.
        """
        own = self._inode(self.processes / "self/ns/net")
        if own is None or self._inode(self.processes / "1/ns/net") != own:
            return {}
        found = {inode: path for path in self._ways() if (inode := self._inode(path)) is not None}
        return {inode: path for inode, path in found.items() if inode != own}

    def _ways(self) -> Iterator[Path]:
        with contextlib.suppress(OSError):
            yield from self.names.iterdir()
        for process in self.processes.iterdir():
            if process.name.isdecimal():
                with contextlib.suppress(OSError):
                    yield from (thread / "ns/net" for thread in (process / "task").iterdir())

    @staticmethod
    def _inode(path: Path) -> int | None:
        try:
            return path.stat().st_ino
        except OSError:
            return None


def inside(path: Path, work: Callable[[], T]) -> T | None:
    """Do work in a namespace, on a thread that ends with it; None: the namespace is gone.

    Raises:
        Exception: What the work raises.

    """
    done, failed = list[T](), list[Exception]()

    def run() -> None:
        try:
            with _opened(path) as namespace:
                if namespace is not None:
                    done.append(work())
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            failed.append(error)

    thread = threading.Thread(target=run, name="namespace")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return done[0] if done else None


@contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    """Enter a namespace by this thread, for good."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        if LIBC.setns(descriptor, NET):
            raise OSError(ctypes.get_errno(), "the namespace can't be entered")
        yield descriptor
    finally:
        os.close(descriptor)
