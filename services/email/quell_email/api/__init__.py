"""What the email service answers."""
