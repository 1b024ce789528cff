"""What attacks need: a deployment to attack."""

from deployment import deployment

__all__ = ["deployment"]
