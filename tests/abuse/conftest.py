"""What attacks need: a deployment to attack, or a centre whose executors are the attackers'."""

from center_stories import play
from deployment import deployment

__all__ = ["deployment", "play"]
