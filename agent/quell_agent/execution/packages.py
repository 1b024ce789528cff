"""What the system's packages brought, and how it was then: dpkg's own lists, read as files."""

import os
from collections.abc import Iterator
from pathlib import Path

# Nothing there is started or loaded, and it is half of all entries.
NOT_CODE = (b"usr/share/doc/", b"usr/share/man/", b"usr/share/locale/", b"usr/include/", b"usr/share/icons/")
DIGEST_BYTES = 16


class Packages:
    """The lists, as they were when this was made."""

    def __init__(self, database: Path) -> None:
        """Read them. `database` is `/var/lib/dpkg`."""
        self._database = database
        self._stamp = self._now()
        self._digests: dict[bytes, bytes] = {}
        for path, digest in self._listed():
            # Two packages may bring one file, one replacing the other's.
            older = self._digests.get(path, b"")
            self._digests[path] = older + digest if digest not in self.digests_in(older) else older
        for path, moved in self._diverted():
            if path in self._digests:
                self._digests[moved] = self._digests[path]

    def digests(self, path: bytes) -> list[bytes]:
        """Return the MD5 digests that a file at this path may have; none: no package brought it."""
        name = path.removeprefix(b"/")
        # Packages may still name files by where they were before /usr took everything in.
        found = (self._digests.get(each, b"") for each in {name, name.removeprefix(b"usr/")})
        return self.digests_in(b"".join(found))

    @staticmethod
    def digests_in(joined: bytes) -> list[bytes]:
        """Take joined digests apart."""
        return [joined[at : at + DIGEST_BYTES] for at in range(0, len(joined), DIGEST_BYTES)]

    def changed(self) -> bool:
        """Tell whether packages came or went since. Opens nothing."""
        return self._now() != self._stamp

    def _now(self) -> tuple[int, ...]:
        try:
            return tuple((self._database / name).stat().st_mtime_ns for name in ("info", "status"))
        except FileNotFoundError:
            return ()

    def _listed(self) -> Iterator[tuple[bytes, bytes]]:
        for listing in (self._database / "info").glob("*.md5sums"):
            for line in listing.read_bytes().splitlines():
                digest, _, path = line.partition(b"  ")
                if not path.startswith(NOT_CODE):
                    yield path, bytes.fromhex(digest.decode())
        # Configuration files, scripts among them, stand in the status file only: ` /etc/init.d/x DIGEST [obsolete]`.
        for line in (self._database / "status").read_bytes().splitlines():
            path, _, rest = line.removeprefix(b" /").partition(b" ")
            digest = rest.partition(b" ")[0]
            if line.startswith(b" /") and len(digest) == 2 * DIGEST_BYTES:
                yield path, bytes.fromhex(digest.decode())

    def _diverted(self) -> Iterator[tuple[bytes, bytes]]:
        try:
            lines = (self._database / "diversions").read_bytes().splitlines()
        except FileNotFoundError:
            return
        for path, moved in zip(lines[0::3], lines[1::3], strict=False):
            yield path.removeprefix(b"/"), moved.removeprefix(b"/")


def bring(database: Path, path: str) -> bool:
    """Tell whether a package brought a file at this path, intact or not, without keeping the lists."""
    name = os.fsencode(path).removeprefix(b"/")
    needles = [b"  %s\n" % each for each in (name, name.removeprefix(b"usr/"))]
    listings = (each.read_bytes() for each in (database / "info").glob("*.md5sums"))
    return any(needle in listing for listing in listings for needle in needles)


def missing(database: Path) -> str:
    """Return why it can't be told what packages brought; empty: it can."""
    if (database / "info").is_dir() and (database / "status").is_file():
        return ""
    return "only Debian's package database is known, and it is not here"
