"""What contract tests of the runtime share."""

from deployment import deployment

__all__ = ["deployment"]
