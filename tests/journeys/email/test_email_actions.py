"""Each of the five remediations of mail and each inverse, by command line and by grpcurl, on real mailboxes."""

import pytest

from email_journey import EmailJourney
from email_page import Reader

SECTIONS = [
    "Soft delete messages, restore them",
    "Quarantine messages, release them",
    "Quarantine an attachment, restore it",
    "Turn off external forwarding, restore it",
    "Block a URL, unblock it",
]


@pytest.mark.parametrize("section", SECTIONS)
def test_the_page_says_what_comes_about(journey: EmailJourney, section: str) -> None:
    """Whether the mailboxes are reached on disk or by IMAP: every line prints what the page has."""
    Reader(journey).run(section)
