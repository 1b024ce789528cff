"""Remediations of email: a module a kind."""
