"""Our filter in the mail server: links are signed at delivery, and its mark shows on delivered mail that it works."""
