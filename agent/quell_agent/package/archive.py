"""The archive and its manifest: a zip that never grows beyond its limit, and says what is in it and what is not."""

import hashlib
import json
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import IO, Any

from quell_agent.package.item import Status
from quell_agent.package.limits import MIB

MANIFEST = "manifest.json"
LEVEL = 3
DATE = (1980, 1, 1, 0, 0, 0)
HEADER_BYTES = 16 << 10
OF_AN_ENTRY = 256
"""What an entry costs besides its content and, twice, its name; with some room."""
OF_A_LINE = 2 << 10
"""What the manifest says of an entry, at most, besides its paths."""


class Archive:
    """Takes items one by one; what it holds, with the manifest that it ends with, always fits.

    The manifest counts as if it could not be compressed. Items with no entry may fill a part of it; what is beyond is
    only counted.
    """

    def __init__(self, out: IO[bytes], most_bytes: int) -> None:
        """Begin one in an empty file."""
        self._out = out
        self._zip = zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL)
        self._most = most_bytes
        self._unwritten_bytes = min(most_bytes // 4, 8 * MIB)
        self._lines: list[str] = []
        self._reserved = HEADER_BYTES + self._unwritten_bytes
        self.taken: dict[str, Mapping[str, Any]] = {}
        self.more: Counter[str] = Counter()

    def fits(self, told: Mapping[str, Any], most_bytes: int) -> bool:
        """Tell whether an entry of at most so many bytes has room, if none of them can be compressed."""
        names = 2 * len(told["entry"]) + 2 * len(str(told.get("path", "")).encode("ascii", "backslashreplace"))
        worst = most_bytes + (most_bytes >> 10) + names + OF_AN_ENTRY + OF_A_LINE
        return self._out.tell() + self._reserved + worst <= self._most

    def write(self, told: dict[str, Any], content: Iterable[bytes]) -> None:
        """Write an entry. What is told of it in the end, size and digest too, goes into the manifest.

        `content` may still change `told` while it is read: only then it is known whether all was there.
        """
        info = zipfile.ZipInfo(told["entry"], DATE)
        info.compress_type, info.external_attr, info.create_system = zipfile.ZIP_DEFLATED, 0o600 << 16, 3
        digest, size = hashlib.sha256(), 0
        with self._zip.open(info, "w") as entry:
            for piece in content:
                entry.write(piece)
                digest.update(piece)
                size += len(piece)
        told |= {"size": size, "sha256": digest.hexdigest()}
        self.taken[told["entry"]] = told
        line = json.dumps(told)
        self._lines.append(line)
        self._reserved += len(line) + 2 * len(told["entry"]) + OF_AN_ENTRY

    def note(self, told: Mapping[str, Any]) -> None:
        """Put an item into the manifest that has no entry of its own."""
        line = json.dumps(told)
        if len(line) + 2 > self._unwritten_bytes:
            self.more[f"{told['source']} {told['status']}"] += 1
            return
        self._unwritten_bytes -= len(line) + 2
        self._lines.append(line)

    def end(self, header: Mapping[str, Any]) -> None:
        """Write the manifest and finish."""
        head = json.dumps({**header, "not_listed_items": dict(self.more)}, indent=1).removesuffix("\n}")
        items = ",\n".join(self._lines)
        info = zipfile.ZipInfo(MANIFEST, DATE)
        info.compress_type, info.external_attr, info.create_system = zipfile.ZIP_DEFLATED, 0o600 << 16, 3
        self._zip.writestr(info, f'{head},\n "items": [\n{items}\n]\n}}\n')
        self._zip.close()


def counts(told: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Count items by what became of them."""
    found = Counter(each["status"] for each in told)
    return {status: found[status] for status in Status if found[status]}
