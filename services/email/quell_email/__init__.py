"""The email service: an executor over mailboxes, and the check of URLs at the click."""
