"""What the email service means, without I/O."""
