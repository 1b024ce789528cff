"""How much may be taken, and how long it may take."""

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """All sizes in bytes.

    `archive_bytes` is never exceeded. `file_bytes` holds for each file, `journal_bytes` for one of the system's
    journal, which is of no use in part and which systemd itself keeps below that; `live_bytes` for what the kernel
    makes while it is read. `files_of_a_pattern` and `rows` are how many one pattern and one listing may bring.
    `seconds` is for the whole; each source has a limit of its own too.
    """

    archive_bytes: int = 1 << 30
    file_bytes: int = 32 * MIB
    journal_bytes: int = 128 * MIB
    live_bytes: int = 4 * MIB
    files_of_a_pattern: int = 5000
    rows: int = 100_000
    seconds: float = 600
