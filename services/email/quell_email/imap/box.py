"""One mailbox as it is now: the folders that its user has, and those in which we hold what was taken.

What an action took from a folder lies in `{hidden namespace}/quell/{action}/{folder}`, so that its name alone tells
where it was; moving there and back keeps flags, keywords and internal date. The ledger lies beside it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from quell_email.domain.selection import SENT
from quell_email.imap.client import Client, Folder
from quell_executor.effect import RefusedError

OURS, LEDGER = "quell", "ledger"


@dataclass(frozen=True, slots=True)
class Kept:
    """A folder of ours: what `action` took from the folder named `source`."""

    folder: Folder
    action: str
    source: str


@dataclass(frozen=True, slots=True)
class Box:
    """A mailbox. `root` is the beginning of all our folders' names; empty if we have no namespace there."""

    folders: Mapping[str, Folder]
    kept: Mapping[str, Kept]
    ledger: Folder | None
    root: str
    separator: str

    def visible(self, *, sent: bool) -> Iterator[Folder]:
        """Yield the user's folders; that of sent mail only if it is meant."""
        for folder in self.folders.values():
            if sent or folder.name.rpartition(self.separator)[2].casefold() not in SENT:
                yield folder

    def any(self, name: str) -> Folder | None:
        """Return a folder of the user's or of ours."""
        return self.folders.get(name) or (self.kept[name].folder if name in self.kept else None)

    def hold(self, action: str, source: str) -> str:
        """Return the name of the folder for what an action takes from a folder.

        Raises:
            RefusedError: The server shows us no namespace for it: it would be made in sight of the user.

        """
        if not self.root:
            raise RefusedError("HOLD_UNAVAILABLE", "the mail server has no hidden namespace for the master user")
        return f"{self.root}{action}{self.separator}{source}"


def look_around(client: Client, namespace: str) -> Box:
    """Return the mailbox as it is; `namespace` is the hidden one's name, without its separator."""
    folders, separators = client.folders()
    separator = separators.get(namespace, "/")
    hidden = f"{namespace}{separator}"
    root = f"{hidden}{OURS}{separator}" if namespace in separators else ""
    visible, kept, ledger = {}, {}, None
    for folder in folders:
        if root and folder.name.startswith(root):
            action, _, source = folder.name.removeprefix(root).partition(separator)
            if source:
                kept[folder.name] = Kept(folder, action, source)
            elif action == LEDGER:
                ledger = folder
        elif not folder.name.startswith((hidden, *client.strangers)):
            visible[folder.name] = folder
    return Box(visible, kept, ledger, root, separator)
