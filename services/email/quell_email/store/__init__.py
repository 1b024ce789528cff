"""What the email service keeps beside the kit's journal."""
