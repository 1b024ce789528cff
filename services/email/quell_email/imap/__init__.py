"""Mailboxes behind an IMAP server: taken messages lie in a namespace that only our own login can see."""
