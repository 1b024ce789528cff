"""The page of device actions, run at the desk and on the machine of a journey."""

from functools import partial

from device_journey import Journey
from page import Reader as PageReader


class Reader(PageReader):
    """Somebody who types what the page says."""

    def __init__(self, journey: Journey) -> None:
        """Sit at the desk of a journey."""
        at_desk, on_machine = partial(journey.at_desk, check=False), partial(journey.on_machine, check=False)
        super().__init__("device-actions.md", {"desk$": at_desk, "machine#": on_machine})
