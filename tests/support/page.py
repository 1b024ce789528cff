"""A page of documentation, run: each line where its prompt says, and what it prints compared with what is there.

Ids stand for what they were when the page was written: an id that a line prints where the page has another is meant by
that one from there on. Times, sizes and digests are compared as such.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from subprocess import CompletedProcess

from house import ROOT

Shell = Callable[[str], CompletedProcess[str]]
BLOCK = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
SETUP = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
PROMPT = re.compile(r"^([a-z]+[$#]) (.*)$")
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


@dataclass
class Reader:
    """Somebody who types what a page of `docs/` says, in the shell that each prompt stands for."""

    page: str
    shells: Mapping[str, Shell]
    meant: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read the page."""
        self.text = (ROOT / "docs" / self.page).read_text(encoding="utf-8")

    def run(self, title: str) -> None:
        """Type a section, and see what it says come about."""
        for prompt, command, printed in self._section(title):
            said = self.type(prompt, command)
            for theirs, ours in zip(ID.findall(printed), ID.findall(said), strict=False):
                self.meant.setdefault(theirs, ours)
            assert alike(said) == alike(printed), f"{prompt} {command}\n{said}\ninstead of\n{printed}"

    def type(self, prompt: str, command: str) -> str:
        """Run a line and return what it prints; at the desk, the page's set-up comes first."""
        script = ID.sub(lambda found: self.meant.get(found[0], found[0]), command)
        setup = "".join(SETUP.findall(self.text)) if prompt == "desk$" else ""
        done = self.shells[prompt](f"{setup}set +e\n{script}")
        return (done.stdout + done.stderr).rstrip().replace("/bin/bash: line 2: ", "bash: ")

    def _section(self, title: str) -> Iterator[tuple[str, str, str]]:
        """Yield the lines of a section: prompt, command, and what it prints."""
        (body,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", self.text, re.DOTALL | re.MULTILINE)
        for block in BLOCK.findall(body):
            prompt, command, printed = "", "", list[str]()
            for line in [*block.splitlines(), "desk$ "]:
                found = PROMPT.match(line)
                if not found or found[1] not in self.shells:
                    printed.append(line)
                    continue
                if command:
                    yield prompt, command, "\n".join(printed)
                (prompt, command), printed = found.groups(), []


def alike(text: str) -> str:
    """Return a text without what may differ."""
    for pattern, word in ALIKE:
        text = pattern.sub(word, text)
    return text.strip()
