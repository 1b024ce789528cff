"""What this process has started since a moment: what stood beside it before, and what that starts, is not meant."""

import psutil


class Started:
    """Counts from now on."""

    def __init__(self) -> None:
        """Note who is there."""
        self._before = set(psutil.Process().children())

    def now(self) -> list[psutil.Process]:
        """Return what has been started since, and what that has started, as far as it runs."""
        new = [child for child in psutil.Process().children() if child not in self._before]
        found = new + [each for child in new if child.is_running() for each in child.children(recursive=True)]
        return [each for each in found if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
