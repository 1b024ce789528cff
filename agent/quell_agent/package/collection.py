"""How what the sources tell becomes an archive."""

import json
import time
from collections.abc import Iterator
from itertools import chain
from typing import Any

from quell_agent.package.archive import Archive
from quell_agent.package.gathering import DATA, Source, Telling, gathered
from quell_agent.package.item import Status
from quell_agent.package.machine import Machine

Told = dict[str, Any]


class Collection:
    """Fills an archive, source by source."""

    def __init__(self, machine: Machine, archive: Archive) -> None:
        """Take where to read and where to write."""
        self._machine = machine
        self._archive = archive
        self._deadline = time.monotonic() + machine.limits.seconds

    def take(self, source: Source) -> Told:
        """Take what a source brings, and return what the manifest says of the source as a whole.

        Its `status` is COLLECTED if it came to its end and all had room, CUT if not, FAILED if it brought nothing.
        """
        begin = time.monotonic()
        whole: Told = {"source": source.name, "status": Status.COLLECTED, "items": {}}
        with gathered(source, self._machine, min(source.seconds, self._deadline - begin)) as telling:
            for _, payload in telling:
                told = self._item({"source": source.name}, json.loads(payload), telling)
                whole["items"][told["status"]] = whole["items"].get(told["status"], 0) + 1
                if told.get("reason") == "NO_ROOM":
                    whole |= {"status": Status.CUT, "reason": "NO_ROOM"}
        if telling.failure:
            whole |= {"status": Status.CUT, "reason": telling.failure[0], "message": telling.failure[1]}
        if whole["items"] and not {Status.COLLECTED, Status.LISTED, Status.CUT} & whole["items"].keys():
            whole |= {"status": Status.FAILED, "reason": whole.get("reason", "NOTHING_READ")}
        return {**whole, "seconds": round(time.monotonic() - begin, 3)}

    def _item(self, source: Told, head: Told, telling: Telling) -> Told:
        """Take one item: into the archive, if it has content and that has room there."""
        told: Told = {**source, **head["told"]}
        content, entry = _content(told, telling), told.get("entry", "")
        if entry and entry not in self._archive.taken:
            if self._archive.fits(told, head["most_bytes"]):
                first = next(content, b"")
                if first or told["status"] in {Status.COLLECTED, Status.CUT}:
                    self._archive.write(told, chain([first], content))
                    return told
            else:
                told |= {"status": Status.LEFT_OUT, "reason": "NO_ROOM"}
            del told["entry"]
        for _ in content:
            pass
        if known := self._archive.taken.get(entry):
            # The same file by another pattern: what is told is what was read first.
            told |= {name: known[name] for name in ("status", "size", "sha256")}
        self._archive.note(told)
        return told


def _content(told: Told, telling: Telling) -> Iterator[bytes]:
    """Yield the pieces of an item; what is known only at its end is told then."""
    begun = False
    for kind, payload in telling:
        if kind == DATA:
            begun = True
            yield payload
            continue
        if after := json.loads(payload):
            told |= after | ({"status": Status.CUT} if begun else {})
        return
    if telling.failure and told["status"] != Status.LEFT_OUT:
        told |= {"status": Status.CUT, "reason": telling.failure[0]}
