"""The reasons that the Action Center's contracts name are its errors, each of the code that stands beside it."""

import re

import pytest

from promised_errors import promised
from quell_actioncenter.domain import errors
from quell_runtime.errors import QuellError
from quell_runtime.interceptors.outcome import CODES
from quell_runtime.listing import filters, paging


def ours() -> dict[tuple[str, str], type[QuellError]]:
    """Return our errors, and those of every service's lists, by code and reason."""
    made = {}
    for module in (errors, filters, paging):
        for error in vars(module).values():
            if isinstance(error, type) and issubclass(error, QuellError) and error.__module__ == module.__name__:
                (code,) = {code.name for family, code in CODES.items() if issubclass(error, family)}
                made[code, error.reason] = error
    return made


def test_every_promised_reason_has_its_error() -> None:
    """And there is none that no contract names."""
    wanted = {(code, reason) for _, code, reason in promised("actioncenter/v1")}
    assert len(wanted) > 40
    assert ours().keys() == wanted


@pytest.mark.parametrize("error", ours().values())
def test_an_error_is_named_for_its_reason(error: type[QuellError]) -> None:
    """So that reading one tells the other."""
    words = re.findall(r"[A-Z][a-z]+", error.__name__.removesuffix("Error").removeprefix("Approval"))
    assert "_".join(words).upper() in error.reason
