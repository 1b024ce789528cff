"""Which contents were brought in as a sample already, so that none is packed and sent twice."""

import json
import os
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict
from quell.remediation.v1 import result_pb2

REMEMBERED = 1000


class Brought:
    """The newest of them, by SHA-256 of the content, in a file. That it is stored still, the gateway has to say."""

    def __init__(self, path: Path) -> None:
        """Read the file, if it is there."""
        self._path = path
        self._known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def get(self, sha256: str) -> result_pb2.Artifact | None:
        """Return the artifact that a content became."""
        known = self._known.get(sha256)
        return ParseDict(known, result_pb2.Artifact(), ignore_unknown_fields=True) if known else None

    def has(self, sha256: str) -> bool:
        """Tell whether a content was brought in."""
        return sha256 in self._known

    def put(self, sha256: str, artifact: result_pb2.Artifact) -> None:
        """Remember one, durably."""
        self._known.pop(sha256, None)
        self._known[sha256] = MessageToDict(artifact)
        for oldest in list(self._known)[:-REMEMBERED]:
            del self._known[oldest]
        part = self._path.with_suffix(".part")
        with part.open("w", encoding="utf-8") as out:
            json.dump(self._known, out)
            out.flush()
            os.fsync(out.fileno())
        part.replace(self._path)
