"""Hostile mail is read in a child process with limits, and only what it says comes back."""
