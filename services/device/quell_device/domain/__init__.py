"""What devices are and where messages go: pure."""
