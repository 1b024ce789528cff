"""Whether a file that somebody wants to start or load is trusted: told by what it is, never by who asks."""

import contextlib
import glob
import hashlib
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from quell_agent.execution.packages import Packages
from quell_agent.execution.policy import Policy, Selector, is_below, is_roots_alone

ALGORITHMS = ("md5", "sha1", "sha256")
BLOCK = 1 << 20
LARGEST_BYTES = 1 << 30
"""Larger files are not read through while everybody waits: no content of theirs is trusted."""


class Trust:
    """Judges descriptors. Made before it is asked: it opens nothing afterwards."""

    def __init__(self, policy: Policy, beat: Callable[[], None] = lambda: None) -> None:
        """Read the lists. `beat` is called while a long file is read."""
        self._policy = policy
        self._beat = beat
        self.packages = Packages(Path(policy.packages))
        for algorithm in ALGORITHMS:
            # The first use may load more of the library.
            hashlib.new(algorithm, usedforsecurity=False)
        self._login = frozenset(login_paths(policy.login))

    def trusts(self, descriptor: int) -> bool:
        """Tell whether the regular file of a descriptor may start, or be loaded."""
        status = os.fstat(descriptor)
        path = path_of(descriptor, status)
        if path is not None and self._is_at_a_trusted_path(path):
            return True
        if status.st_size > LARGEST_BYTES:
            return False
        if path is not None and (expected := self.packages.digests(os.fsencode(path))):
            return self._digest(descriptor, "md5") in expected
        return self._is_allowed(descriptor, path)

    def _is_at_a_trusted_path(self, path: str) -> bool:
        named = path in self._login or is_below(path, (*self._policy.own, *self._policy.folders))
        return named and is_roots_alone(path)

    def _is_allowed(self, descriptor: int, path: str | None) -> bool:
        fits = [each for each in self._policy.allowed if each.path in ("", path)]
        if any(not each.sha256 and not each.sha1 for each in fits) and path is not None and is_roots_alone(path):
            return True
        return any(self._has_content(descriptor, fits))

    def _has_content(self, descriptor: int, selectors: list[Selector]) -> Iterator[bool]:
        told = [each for each in selectors if each.sha256 or each.sha1]
        sha256 = self._digest(descriptor, "sha256").hex() if any(each.sha256 for each in told) else ""
        sha1 = self._digest(descriptor, "sha1").hex() if any(each.sha1 for each in told) else ""
        yield from (each.sha256 in ("", sha256) and each.sha1 in ("", sha1) for each in told)

    def _digest(self, descriptor: int, algorithm: str) -> bytes:
        digest, at = hashlib.new(algorithm, usedforsecurity=False), 0
        while block := os.pread(descriptor, BLOCK, at):
            digest.update(block)
            at += len(block)
            self._beat()
        return digest.digest()


def path_of(descriptor: int, status: os.stat_result) -> str | None:
    """Return the path of an open file, if that is where it lies for us.

    In another root folder, or namespace of mounts, the same path may be another file.
    """
    path = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 - a text
    try:
        named = os.stat(path, follow_symlinks=False)  # noqa: PTH116 - a text
    except OSError:
        return None
    return path if os.path.samestat(named, status) else None


def login_paths(patterns: tuple[str, ...]) -> Iterator[str]:
    """Yield the files that patterns mean, without links. What we may not look at (process 1, in a box) is left out."""
    for path in itertools.chain.from_iterable(map(glob.glob, patterns)):
        with contextlib.suppress(OSError):
            yield os.path.realpath(path)
