"""What names in a Maildir say."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quell_email.domain.facts import normal_subject
from quell_email.maildir import names


@pytest.mark.parametrize(("directory", "folder"), [("", "INBOX"), (".Work", "Work"), (".Work.2026", "Work/2026")])
def test_folders_and_directories_lead_to_each_other(directory: str, folder: str) -> None:
    """Maildir++: a dot for each level."""
    assert names.folder_of(directory) == folder
    assert names.directory_of(folder) == directory


def test_keywords_follow_their_letters() -> None:
    """Letters are per folder; flags stay, and a keyword that is unknown now can't be spelt."""
    assert names.read_keywords("0 $Junk\n1 Work\n26 Late\nx y\n2\n") == {"a": "$Junk", "b": "Work"}
    meant = names.keywords_of("1.x:2,FSab", {"a": "$Junk", "b": "Work"})
    assert names.renamed("1.x:2,FSab", meant, {"b": "$Junk", "c": "Work"}) == "1.x:2,FSbc"
    assert names.renamed("1.x:2,FSab", meant, {"b": "$Junk"}) is None
    assert names.renamed("1.x", {}, {}) == "1.x"


def test_uids_are_read_with_their_validity() -> None:
    """Version 3 of Dovecot's list; what is no line of it is passed over."""
    text = "3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1\n25006 S1 W2 :a.host,S=1:2,S\n7 :b\nbad\n8 none\n"
    assert names.read_uids(text) == (1275660208, {25006: "a.host,S=1", 7: "b"})
    assert names.read_uids("") == (0, {})


@given(st.text())
@example("¹ Reported")
@example("3 V¹\n¹ :name")
def test_any_text_is_read_without_harm(text: str) -> None:
    """These files are the user's own."""
    names.read_keywords(text)
    names.read_uids(text)
    names.keyword_letters(text)


@pytest.mark.parametrize(
    "spelling", ["Your  salary", "RE: your salary", "Fwd: AW: Re[2]: YOUR\tsalary ", "fw:your salary"]
)
def test_subjects_are_compared_without_prefixes_case_and_space(spelling: str) -> None:
    """A reply to a campaign is of the campaign."""
    assert normal_subject(spelling) == "your salary"
    assert normal_subject("Regarding: your salary") != "your salary"
