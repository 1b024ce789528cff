"""A user makes the small files of a mailbox giants (sparse, they cost nothing): they are not read into memory."""

import os
from pathlib import Path

from quell_email.files import directory, read_text


def test_a_giant_list_of_keywords_is_as_none(tmp_path: Path) -> None:
    """A terabyte of holes."""
    with (tmp_path / "dovecot-keywords").open("wb") as file:
        os.truncate(file.fileno(), 1 << 40)
    (tmp_path / "dovecot-uidlist").write_text("3 V1 N1\n")
    with directory(tmp_path) as within:
        assert read_text("dovecot-keywords", within) is None
        assert read_text("dovecot-uidlist", within) == "3 V1 N1\n"
