"""One place that would start a file: what is to be changed in it, and what it was like, as it stands in plans."""

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass

from quell_agent import files
from quell_agent.before import Before, Folder, Inode, Placed
from quell_agent.persistence.syntax import Edit

ENTRY_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class Start(Placed):
    """A file, or a link, that would start a content that lies at `named`.

    `original` is the SHA-256 of its bytes, `after` that of them with the edits made; of a link (`link`), `original` is
    where it leads. `masked`: it is to be a link to nowhere, which starts nothing. `syntax` and `home` tell how to read
    it, `unit` is the unit of the system that it makes. `record` is where the vault keeps what lay there; `refused` is
    why it is left alone.
    """

    content: files.Content
    named: tuple[str, ...]
    record: str
    syntax: str
    original: str
    inode: Inode
    folder: Folder
    home: str = ""
    after: str = ""
    edits: tuple[Edit, ...] = ()
    link: bool = False
    masked: bool = False
    unit: str = ""
    refused: str = ""

    @property
    def key(self) -> str:
        """Its item key: a place may start several contents, each of which is disarmed for itself."""
        return f"device.persistence:{self.content.sha256}:{files.shown(self.path)}"

    @property
    def lock(self) -> str:
        """The name that whoever changes this place holds, whatever content it is about."""
        return f"device.start:{files.shown(self.path)}"

    @property
    def identity(self) -> tuple[int, int]:
        """Which file it is."""
        return self.inode.device, self.inode.number

    @property
    def entry(self) -> str:
        """What of it would start the file, for people; empty: all of it."""
        if self.masked:
            return ""
        text = b"".join(edit.old for edit in self.edits).decode(errors="backslashreplace")
        return text.strip()[:ENTRY_CHARACTERS]

    def dump(self) -> bytes:
        """Write it down."""
        edits = [(edit.offset, edit.old.hex(), edit.new.hex()) for edit in self.edits]
        fields = {**dataclasses.asdict(self), "edits": edits}
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def load(cls, written: bytes) -> "Start":
        """Read what `dump` wrote."""
        fields = json.loads(written)
        fields["content"] = files.Content(**fields["content"])
        fields["named"] = tuple(fields["named"])
        fields["inode"], fields["folder"] = Inode(**fields["inode"]), Folder(**fields["folder"])
        edits = ((offset, bytes.fromhex(old), bytes.fromhex(new)) for offset, old, new in fields["edits"])
        fields["edits"] = tuple(Edit(*edit) for edit in edits)
        return cls(**fields)


def by_content(befores: Iterable[Before]) -> dict[files.Content, frozenset[str]]:
    """Return where each content lies that is to be taken."""
    found: dict[files.Content, frozenset[str]] = {}
    for before in befores:
        if not before.refused:
            found[before.content] = found.get(before.content, frozenset()) | {before.path}
    return found
