"""Cutting a device off from its network by tables of our own, and no rule of anybody else's."""
