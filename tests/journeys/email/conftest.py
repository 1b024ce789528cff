"""One deployment beside one mail server for each way to the mailboxes; each journey leaves them as it found them."""

from collections.abc import Iterator

import pytest

import email_journey
from email_journey import EmailJourney
from mail_lab import MailLab, lab

__all__ = ["lab"]


@pytest.fixture(scope="package", params=["maildir", "imap"])
def journey(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, lab: MailLab
) -> Iterator[EmailJourney]:
    """Return the deployment and the mail server, as they run."""
    lab.wipe()
    with email_journey.journey(tmp_path_factory.mktemp("journey"), lab, request.param) as found:
        yield found
