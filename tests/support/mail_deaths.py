"""A mail server that dies at a chosen moment, and comes back."""

import threading

from mail_lab import MailLab


class Killing:
    """Kills the server some time after a point, once, and has it come back at once."""

    def __init__(self, lab: MailLab, point: str, after_s: float) -> None:
        """Wait for the point."""
        self.lab, self.point, self.after_s = lab, point, after_s
        self.killed: threading.Thread | None = None

    def __call__(self, name: str) -> None:
        """Pass a point."""
        if name == self.point and self.killed is None:
            self.killed = threading.Timer(self.after_s, self._kill)
            self.killed.start()

    def _kill(self) -> None:
        self.lab.kill()
        self.lab.start()
