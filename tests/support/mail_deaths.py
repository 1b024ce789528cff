"""Deaths at a chosen moment: of ours, at a point, and of a mail server, which comes back."""

import threading

from mail_lab import MailLab


class CrashError(BaseException):
    """The process dies here."""


class Crash:
    """Dies at the n-th passing of a place, or of any point."""

    def __init__(self, at: int, place: str = "") -> None:
        """Count down."""
        self.left, self.place = at, place

    def __call__(self, name: str) -> None:
        """Pass a point."""
        if self.place in ("", name):
            self.left -= 1
            if self.left == 0:
                raise CrashError


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
