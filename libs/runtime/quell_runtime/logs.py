"""Logs: one JSON object a line to stderr, a fixed event name and bound ids.

Nothing that came from outside is ever part of the event's name, and JSON escapes line ends, control characters and
everything beyond ASCII, so that no text makes a second line or moves a terminal.
"""

import logging
import sys

import structlog

_TRACEBACKS = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))
"""Without local variables, which structlog writes by itself: tokens and keys are among them."""


def configure(service: str, level: str = "info") -> None:
    """Send this process's logs, and those of its libraries from warnings on, to stderr."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _TRACEBACKS,
            _named(service),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_FromLibraries()], force=True)


def _named(service: str) -> structlog.typing.Processor:
    def name(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {"time": event.pop("time"), "service": service, **event}

    return name


class _FromLibraries(logging.Handler):
    """Hands a library's log record on, its text as a field."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().log(
            record.levelno, "library", logger=record.name, text=record.getMessage(), exc_info=record.exc_info or None
        )
