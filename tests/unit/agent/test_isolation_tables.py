"""What others do to our tables between two calls to the kernel is no failure of ours."""

import pytest

from quell_agent.isolation import ruleset, tables
from quell_agent.isolation.nftables import Nftables, NftablesError, Table

GONE, STAYS = Table("netdev", "quell_isolation_00000001"), Table("inet", "quell_isolation_00000002")


class Kernel(Nftables):
    """Tables that it lists, of which some vanish before they are asked for."""

    def __init__(self, vanishes: int) -> None:
        """Let the first table vanish after so many lists."""
        self.lists, self.vanishes, self.tables = 0, vanishes, [GONE, STAYS]

    def run(self, script: str) -> str:
        """List, or refuse what is not there."""
        if script == "list tables":
            listing = "".join(f"table {each.family} {each.name}\n" for each in self.tables)
            self.lists += 1
            if self.lists == self.vanishes:
                self.tables.remove(GONE)
            return listing
        for line in script.splitlines():
            if line.endswith(GONE.name) and (GONE not in self.tables or not self.vanishes):
                raise NftablesError("No such file or directory")
        return f"{script}\n"

    def close(self) -> None:
        """Nothing was opened."""


def test_a_table_that_vanishes_while_it_is_read_is_not_there() -> None:
    """A flush between the list and the reading."""
    assert tables.read(Kernel(1)) == f"list table inet {ruleset.NAME}\n"


def test_a_table_that_vanishes_while_it_is_deleted_is_gone() -> None:
    """A flush between the list and the release."""
    kernel = Kernel(1)
    tables.open_(kernel)
    assert kernel.lists == 3


def test_what_the_kernel_keeps_refusing_fails() -> None:
    """Nobody changed anything: it is not tried again."""
    kernel = Kernel(0)
    with pytest.raises(NftablesError):
        tables.read(kernel)
    assert kernel.lists == 2
