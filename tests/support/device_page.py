"""The page of device actions, run: each line where its prompt says, and what it prints compared with what is there.

Ids stand for what they were when the page was written: an id that a line prints where the page has another is meant by
that one from there on. Times, sizes and digests are compared as such.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from device_journey import Journey
from house import ROOT

PAGE = (ROOT / "docs" / "device-actions.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
SETUP = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
PROMPT = re.compile(r"^(desk\$|machine#) (.*)$")
ID = re.compile(r"\b(?:[0-9a-f]{8}|[0-9a-f]{32})\b")
ALIKE = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b"), "UUID"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "DIGEST"),
    (re.compile(r"\b[a-z2-7]{26}\b"), "DEVICE"),
    (ID, "ID"),
    (re.compile(r"\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*"), "TIME"),
    (re.compile(r"\b\d\d?\.\d+ ?ms|time \d+ms"), "MS"),
    (re.compile(r"\b\d[\d,]{2,}\b"), "NUMBER"),
    (re.compile(r"[-\s]+"), " "),
)


def section(title: str) -> Iterator[tuple[str, str, str]]:
    """Yield the lines of a section: prompt, command, and what it prints."""
    (body,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    for block in BLOCK.findall(body):
        prompt, command, printed = "", "", list[str]()
        for line in [*block.splitlines(), "desk$ "]:
            found = PROMPT.match(line)
            if not found:
                printed.append(line)
                continue
            if command:
                yield prompt, command, "\n".join(printed)
            (prompt, command), printed = found.groups(), []


@dataclass
class Reader:
    """Somebody who types what the page says."""

    journey: Journey
    meant: dict[str, str] = field(default_factory=dict)

    def run(self, title: str) -> None:
        """Type a section, and see what it says come about."""
        for prompt, command, printed in section(title):
            said = self.type(prompt, command)
            for theirs, ours in zip(ID.findall(printed), ID.findall(said), strict=False):
                self.meant.setdefault(theirs, ours)
            assert alike(said) == alike(printed), f"{prompt} {command}\n{said}\ninstead of\n{printed}"

    def type(self, prompt: str, command: str) -> str:
        """Run a line and return what it prints."""
        script = ID.sub(lambda found: self.meant.get(found[0], found[0]), command)
        if prompt == "desk$":
            done = self.journey.at_desk(f"{''.join(SETUP.findall(PAGE))}set +e\n{script}", check=False)
        else:
            done = self.journey.on_machine(f"set +e\n{script}", check=False)
        return (done.stdout + done.stderr).rstrip().replace("/bin/bash: line 2: ", "bash: ")


def alike(text: str) -> str:
    """Return a text without what may differ."""
    for pattern, word in ALIKE:
        text = pattern.sub(word, text)
    return text.strip()
