"""The investigation package: a process of its own that reads a machine and writes one archive, and ends."""
