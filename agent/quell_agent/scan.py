"""Worker processes that scan: started, asked, started anew when a file was too much for one, and ended."""

import importlib.metadata
import importlib.util
from pathlib import Path

import structlog

log = structlog.get_logger()
LINE_BYTES = 4 << 20
CORE = 100


class WorkerLostError(Exception):
    """The worker ended in the middle."""


def missing() -> str:
    """Return why no scan can be made here; empty: it can."""
    return "" if importlib.util.find_spec("yara_x") else "yara-x is not installed: pip install quell[yara]"


class Rules:
    """A folder of rules, compiled once for each state that it is in."""

    def __init__(self, folder: Path, cache: Path) -> None:
        """Keep compiled rules in `cache`."""
        self._folder = folder
        self._cache = cache
