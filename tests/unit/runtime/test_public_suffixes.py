"""Public suffixes are known offline."""

import pytest

from quell_runtime.public_suffixes import is_public_suffix


@pytest.mark.parametrize("host", ["com", "co.uk", "github.io", "*.ck"])
def test_anybody_may_have_names_below_a_suffix(host: str) -> None:
    """From the list that comes with the package, the private ones too."""
    assert is_public_suffix(host)


@pytest.mark.parametrize("host", ["evil.com", "evil.co.uk", "me.github.io", "localhost", "127.0.0.1", "[::1]", ""])
def test_below_a_host_only_its_owner_may(host: str) -> None:
    """Nor is there anything below an address."""
    assert not is_public_suffix(host)
