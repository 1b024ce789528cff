"""The agent: an executor over one Linux machine."""
