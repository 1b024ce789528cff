"""A page token is words that anybody can write: what no database takes is refused like any that is not ours."""

import base64
import json

import pytest

from quell_runtime.listing.paging import decode


@pytest.mark.parametrize(
    "values", [["b", "\ud800"], ["b", 1 << 63], ["b", 1.5], ["b", None], ["b", ["x"]], {"b": 1}, "b", [[[]]] * 99]
)
def test_what_no_database_takes_is_no_token(values: object) -> None:
    """It would end in an error of ours, and in a log that grows."""
    assert decode(base64.urlsafe_b64encode(json.dumps(values).encode()).decode()) == []


def test_numbers_and_texts_are_one() -> None:
    """As we make them."""
    assert decode(base64.urlsafe_b64encode(b'["b",-7,"caf\xc3\xa9"]').decode()) == ["b", -7, "café"]
