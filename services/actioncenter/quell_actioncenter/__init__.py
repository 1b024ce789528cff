"""The Action Center: decides, dispatches, tracks."""
