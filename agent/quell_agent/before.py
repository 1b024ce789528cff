"""What a file was like: everything that is needed to put it back exactly, as it stands in plans and in vaults."""

import dataclasses
import json
import os
import stat
from dataclasses import dataclass

from quell_agent import files


@dataclass(frozen=True, slots=True)
class Inode:
    """A file without its names.

    Times are in nanoseconds since 1970; extended attributes, capabilities and access lists too, are in hex.
    """

    device: int
    number: int
    links: int
    size: int
    mode: int
    uid: int
    gid: int
    accessed: int
    modified: int
    flags: int
    attributes: dict[str, str]

    def is_at(self, status: os.stat_result) -> bool:
        """Tell whether this is that very file."""
        return (status.st_dev, status.st_ino) == (self.device, self.number)

    def equals(self, other: "Inode") -> bool:
        """Tell whether all is the same that can be given back and that nobody changes by reading."""
        left = dataclasses.replace(other, device=self.device, number=self.number, links=self.links)
        return dataclasses.replace(left, accessed=self.accessed) == self

    def equals_but_flags(self, other: "Inode") -> bool:
        """Tell so of everything but the attributes that forbid changes, which are set last."""
        return dataclasses.replace(self, flags=other.flags).equals(other)

    def dress(self, descriptor: int) -> None:
        """Make another file look like this one, but for its content, times, and what forbids changes."""
        made = os.fstat(descriptor)
        # In this order: a change of owner clears the set-uid bit and capabilities.
        if (made.st_uid, made.st_gid) != (self.uid, self.gid):
            os.fchown(descriptor, self.uid, self.gid)
        os.fchmod(descriptor, self.mode)
        for name, value in self.attributes.items():
            os.setxattr(descriptor, name, bytes.fromhex(value))


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder that a name lies in."""

    device: int
    number: int
    accessed: int
    modified: int

    def is_at(self, descriptor: int) -> bool:
        """Tell whether what is open is that very folder."""
        status = os.fstat(descriptor)
        return (status.st_dev, status.st_ino) == (self.device, self.number)

    def rewind(self, descriptor: int) -> None:
        """Give the folder that is open its times back."""
        os.utime(descriptor, ns=(self.accessed, self.modified))


@dataclass(frozen=True, slots=True)
class Placed:
    """What lies in a folder, by its whole path."""

    path: str

    @property
    def parent(self) -> str:
        """Path of its folder."""
        return self.path.rpartition("/")[0] or "/"

    @property
    def name(self) -> str:
        """What it is called there."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Before(Placed):
    """One name of a file, and the file. `names` are all of them that are taken; `record` is where the vault keeps it.

    `inode` and `folder` are None for what runs and has no name any more. `refused` is why it is left alone.
    """

    content: files.Content
    record: str
    names: tuple[str, ...] = ()
    inode: Inode | None = None
    folder: Folder | None = None
    refused: str = ""

    @property
    def index(self) -> int:
        """Which of the names it is."""
        return self.names.index(self.path)

    @property
    def key(self) -> str:
        """Its item key."""
        return f"device.file:{self.content.sha256}:{files.shown(self.path)}"

    def dump(self) -> bytes:
        """Write it down."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def load(cls, written: bytes) -> "Before":
        """Read what `dump` wrote."""
        fields = json.loads(written)
        fields["content"] = files.Content(**fields["content"])
        fields["names"] = tuple(fields["names"])
        fields["inode"] = fields["inode"] and Inode(**fields["inode"])
        fields["folder"] = fields["folder"] and Folder(**fields["folder"])
        return cls(**fields)


def inode_of(descriptor: int) -> Inode:
    """Look at a file that is open; before it is read, since reading may change its access time."""
    status = os.fstat(descriptor)
    return Inode(
        device=status.st_dev,
        number=status.st_ino,
        links=status.st_nlink,
        size=status.st_size,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        accessed=status.st_atime_ns,
        modified=status.st_mtime_ns,
        flags=files.flags_of(descriptor),
        attributes={name: os.getxattr(descriptor, name).hex() for name in sorted(os.listxattr(descriptor))},
    )


def folder_of(descriptor: int) -> Folder:
    """Look at a folder that is open."""
    status = os.fstat(descriptor)
    return Folder(status.st_dev, status.st_ino, status.st_atime_ns, status.st_mtime_ns)
