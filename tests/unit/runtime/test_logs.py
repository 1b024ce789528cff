"""A log line is one JSON object, whatever is put into it."""

import json
import logging

import pytest
import structlog

from quell_runtime import logs


def test_nothing_from_outside_makes_a_second_line_or_moves_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    """CR, LF, ANSI, bidi, and a forged record inside a field stay text in that field."""
    logs.configure("quell-test")
    hostile = 'a\r\n{"event": "forged"}\x1b[2J\u202e\u2028\x00'
    structlog.get_logger().warning("rpc_refused", name=hostile, event_name=hostile)
    logging.getLogger("library").warning("%s", hostile)
    logging.getLogger("library").info("unheard")
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2
    first, second = map(json.loads, lines)
    assert (first["event"], first["service"], first["level"], first["name"]) == (
        "rpc_refused",
        "quell-test",
        "warning",
        hostile,
    )
    assert (second["event"], second["text"]) == ("library", hostile)
    assert all(line.isascii() and line.isprintable() for line in lines)


def test_an_exception_is_told_in_its_line(capfd: pytest.CaptureFixture[str]) -> None:
    """Whole."""
    logs.configure("quell-test")
    structlog.get_logger().error("rpc_failed", exc_info=ValueError("why"))
    (line,) = capfd.readouterr().err.splitlines()
    assert json.loads(line)["exception"][0]["exc_value"] == "why"


@pytest.fixture(autouse=True)
def _as_it_was() -> object:
    """Put logging back as tests know it."""
    yield
    structlog.reset_defaults()
    logging.basicConfig(level=logging.WARNING, force=True)
