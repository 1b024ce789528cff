"""The page of email actions, run at the desk and on the mail server of a journey."""

from functools import partial

from email_journey import EmailJourney
from page import Reader as PageReader


class Reader(PageReader):
    """Somebody who types what the page says."""

    def __init__(self, journey: EmailJourney) -> None:
        """Sit at the desk of a journey."""
        at_desk, at_server = partial(journey.at_desk, check=False), partial(journey.at_server, check=False)
        super().__init__("email-actions.md", {"desk$": at_desk, "mail#": at_server})
