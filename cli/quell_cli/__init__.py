"""The command line: people's way in."""
