"""Deciding what may start: a guard answers the kernel, a guardian holds the descriptor, the agent orders both."""
