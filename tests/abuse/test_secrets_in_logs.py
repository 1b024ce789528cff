"""An error is logged with its traceback, and not with what the functions on the way held: tokens, keys, whole mails."""

import json
import logging

import pytest
import structlog

from quell_runtime import logs

SECRET = "quell1.c2VjcmV0"  # noqa: S105 - made up


@pytest.fixture(autouse=True)
def _as_it_was() -> object:
    """Put logging back as tests know it."""
    yield
    structlog.reset_defaults()
    logging.basicConfig(level=logging.WARNING, force=True)


def enrol(token: str) -> None:
    """Fail with a secret in hand."""
    statement = {"token": token}
    raise RuntimeError(f"{len(statement)} went wrong")


def test_a_traceback_shows_no_local_variables(capfd: pytest.CaptureFixture[str]) -> None:
    """Of our own errors, and of those that a library logs."""
    logs.configure("quell-test")
    try:
        enrol(SECRET)
    except RuntimeError:
        structlog.get_logger().exception("enrolment_failed")
        logging.getLogger("asyncio").exception("never retrieved")
    ours, theirs = capfd.readouterr().err.splitlines()
    assert SECRET not in ours + theirs
    for line in (ours, theirs):
        (error,) = json.loads(line)["exception"]
        assert error["exc_type"] == "RuntimeError"
        assert error["frames"][-1]["name"] == "enrol"
