"""One file that a sample is asked of: at its path, under lock in our vault, or held by a process that runs it."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from stat import S_ISREG

from quell.remediation.v1 import target_pb2

from quell_agent import files
from quell_agent.before import Inode, inode_of
from quell_agent.files import Content
from quell_agent.processes import Processes, Running, Wanted, start_of
from quell_agent.vault import Vaults
from quell_executor.effect import RefusedError
from quell_runtime.locked import VaultDamagedError

GONE = (FileNotFoundError, NotADirectoryError)


@dataclass(frozen=True, slots=True)
class Sample:
    """A content that is open; `blocks` yields it.

    `found` is where: `file`, `quarantine` or `process`. `inode` is how the file is, or was before it was taken.
    """

    path: str
    found: str
    content: Content
    inode: Inode | None
    blocks: Callable[[], Iterator[bytes]]


class Samples:
    """Looks at the path, in our vaults, and among what runs. It changes nothing, and follows no link."""

    def __init__(self, vaults: Vaults, processes: Processes, *, seconds: float = files.READ_SECONDS) -> None:
        """Take where to look, and how long a file may take to be read."""
        self._seconds = seconds
        self._vaults = vaults
        self._processes = processes

    @contextmanager
    def opened(self, file: target_pb2.FileSelector, most: int) -> Iterator[Sample | None]:
        """Open what is meant, of at most so many bytes; None: it is nowhere.

        A file at the path that has another content is not the one that is meant.

        Raises:
            RefusedError: TOO_LARGE, NOT_A_FILE, NOT_PERMITTED.
            EndlessError: It can't be read to its end in time; its blocks, too, raise this.

        """
        wanted, path = Content(file.sha256, file.sha1), files.meant(file.path)
        ways = (self._lying(path, most), self._held(wanted, path, most), self._running(wanted, path, most))
        with closing(sample for way in ways for sample in way if wanted.matches(sample.content)) as found:
            yield next(found, None)

    def _lying(self, path: str, most: int) -> Iterator[Sample]:
        parent, _, name = path.rpartition("/")
        if not name:
            return
        try:
            with files.opened_folder(parent or "/") as folder, files.opened_file(folder, name) as file:
                yield self._of(file, path, "file", most)
        except GONE:
            return
        except PermissionError:
            raise RefusedError("NOT_PERMITTED", "the agent may not read the file") from None
        except (files.NotAFileError, OSError) as error:
            if isinstance(error, OSError) and error.errno != errno.ELOOP:
                raise
            raise RefusedError("NOT_A_FILE", "the path is no regular file, or leads over a link") from None

    def _held(self, wanted: Content, path: str, most: int) -> Iterator[Sample]:
        for room in self._vaults.rooms():
            for _, before in room.held():
                if wanted.matches(before.content) and path in {"", before.path}:
                    _check(before.inode.size if before.inode else 0, most)
                    with suppress(VaultDamagedError), room.sealed(before.record) as sealed:
                        yield Sample(before.path, "quarantine", before.content, before.inode, sealed.blocks)

    def _running(self, wanted: Content, path: str, most: int) -> Iterator[Sample]:
        if not (wanted.sha256 or wanted.sha1):
            return
        for running in self._processes.running(Wanted(wanted.matches)):
            if path in {"", running.path}:
                for link in _held_by(running):
                    with suppress(OSError), _again(link) as file:
                        yield self._of(file, running.path, "process", most)

    def _of(self, file: int, path: str, found: str, most: int) -> Sample:
        inode = inode_of(file)
        _check(inode.size, most)
        if not inode.size and _has_more(file):
            raise files.NotAFileError("the kernel makes it up as it is read")
        blocks = partial(files.blocks_of, file, inode.size, self._seconds)
        return Sample(path, found, files.digests_of(blocks()), inode, blocks)


def _has_more(file: int) -> bool:
    try:
        return bool(os.pread(file, 1, 0))
    except OSError:
        return True


def _check(size: int, most: int) -> None:
    if size > most:
        raise RefusedError("TOO_LARGE", f"the file has more than {most} bytes")


def _held_by(running: Running) -> Iterator[str]:
    """Yield every way to what a process has open or mapped, as long as it is the process that was found."""
    place = Path("/proc", str(running.pid))
    with suppress(OSError):
        if start_of(running.pid) == running.start:
            yield f"{place}/exe"
            for folder in ("map_files", "fd"):
                with suppress(OSError):
                    yield from map(str, (place / folder).iterdir())


@contextmanager
def _again(link: str) -> Iterator[int]:
    status = os.stat(link)  # noqa: PTH116 - a magic link
    # Nothing runs from an empty one, and those of `/proc` are; to read them can take something away.
    if not S_ISREG(status.st_mode) or not status.st_size:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    file = files.open_again(link)
    try:
        yield file
    finally:
        os.close(file)
