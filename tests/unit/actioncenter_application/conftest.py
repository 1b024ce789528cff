"""Stories of a centre that is connected to its executors, told in virtual time."""

from center_stories import play

__all__ = ["play"]
