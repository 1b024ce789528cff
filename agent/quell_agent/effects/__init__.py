"""What the agent can do to its machine, a module a kind."""
