"""A user of a mailbox puts links in the way while mail is put back: it never lands in somebody else's."""

from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from quell_email.maildir import moving
from quell_email.maildir.index import Index
from quell_email.parsing.parser import Parser
from quell_runtime.seams import nowhere

FIRST, SECOND = b"Subject: 1\n\n1\n", b"Subject: 2\n\n2\n"


@pytest.fixture
def index() -> Iterator[Index]:
    """Return an index of nothing."""
    with closing(Parser()) as parser:
        yield Index(parser)


def folder(root: Path, name: str = "") -> Path:
    """Make a folder of a Maildir."""
    for part in ("cur", "new", "tmp"):
        (root / name / part).mkdir(parents=True)
    return root / name / "cur"


@pytest.mark.parametrize("swapped", [".Second", ".Second/cur"])
def test_mail_goes_back_over_no_link(tmp_path: Path, index: Index, swapped: str) -> None:
    """Between the look and the move the folder becomes a link to a folder of somebody else's."""
    root, others = tmp_path / "ann" / "Maildir", folder(tmp_path / "bob" / "Maildir")
    folder(root)
    (folder(root, ".First") / "1:2,S").write_bytes(FIRST)
    (folder(root, ".Second") / "2:2,S").write_bytes(SECOND)
    digests = frozenset(sha256(content).hexdigest() for content in (FIRST, SECOND))
    moving.take(root, index, digests, "action", nowhere, sent=False)

    def swap(point: str) -> None:
        place = root / swapped
        if point == "maildir.returned" and not place.is_symlink():
            place.rename(tmp_path / "aside")
            place.symlink_to(others.parent if swapped == ".Second" else others)

    moving.put_back(root, digests, swap)
    assert (root / ".First" / "cur" / "1:2,S").read_bytes() == FIRST
    assert (root / swapped).is_symlink()
    assert list(others.iterdir()) == []
    (root / swapped).unlink()
    (tmp_path / "aside").rename(root / swapped)
    moving.put_back(root, digests, nowhere)
    assert (root / ".Second" / "cur" / "2:2,S").read_bytes() == SECOND
