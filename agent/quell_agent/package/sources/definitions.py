"""The Linux definitions of ForensicArtifacts, for what the other sources have not taken already.

`definitions.json` is made of them by `tools/artifact_definitions.py`; Apache License 2.0, as it says itself.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.resources import files as files_in

from quell_agent.package.item import Item, Status
from quell_agent.package.machine import Machine

SERVED_BY: Mapping[str, str] = {
    "ListProcessesPsCommand": "processes/processes.json",
    "LinuxSysctlCmd": "kernel/settings.json",
    "LinuxMountCmd": "files/proc/1/mountinfo",
    "LoadedKernelModules": "kernel/modules.json",
    "IPTablesRules": "network/firewall.json",
}
"""Definitions that are a command, and the entry that has what it would say."""


def items(machine: Machine) -> Iterator[Item]:
    """Yield what each definition means; of those that mean a place, only that it is there."""
    text = files_in("quell_agent.package").joinpath("definitions.json").read_text("utf-8")
    for name, definition in json.loads(text)["definitions"].items():
        for item in machine.copies(definition.get("files", ())):
            yield _of(item, name)
        for path in machine.paths(definition.get("places", ())):
            item = machine.file(path)
            if item.status != Status.MISSING:
                # What lies there is for who asks for it by name.
                yield _of(replace(item, status=Status.LISTED, entry="", reason="", content=()), name)
    for name, entry in SERVED_BY.items():
        if known := machine.taken.get(entry):
            told = {field: known[field] for field in ("size", "sha256")}
            what = (known.get("path", ""), known.get("command", ()))
            yield _of(Item(Status.COLLECTED, *what, entry=entry, facts=told), name)


def _of(item: Item, name: str) -> Item:
    return replace(item, facts={**item.facts, "definition": name})
