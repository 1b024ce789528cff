"""Mailboxes on disk: Maildir++, as Dovecot and others write it."""
