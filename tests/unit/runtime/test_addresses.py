"""Addresses of listeners are read strictly."""

import pytest

from quell_runtime import addresses
from quell_runtime.addresses import Address


@pytest.mark.parametrize(
    ("text", "address", "loopback"),
    [
        ("127.0.0.1:7443", Address("127.0.0.1", 7443), True),
        ("[::1]:0", Address("::1", 0), True),
        ("localhost:1", Address("localhost", 1), True),
        ("0.0.0.0:7443", Address("0.0.0.0", 7443), False),  # noqa: S104 - nobody listens on it
        ("quell.example:65535", Address("quell.example", 65535), False),
    ],
)
def test_a_good_address_is_read_and_written_back(text: str, address: Address, *, loopback: bool) -> None:
    """And knows whether other machines reach it."""
    assert addresses.parse(text) == address
    assert str(address) == text
    assert address.loopback is loopback


@pytest.mark.parametrize(
    "text", ["", "7443", ":7443", "host", "host:", "host:x", "host:65536", "host:-1", "::1:7443", "[h]:1"]
)
def test_anything_else_is_refused(text: str) -> None:
    """Never guessed."""
    with pytest.raises(ValueError, match=r"HOST:PORT|brackets"):
        addresses.parse(text)
