"""Bugs."""

BUGS = {}
