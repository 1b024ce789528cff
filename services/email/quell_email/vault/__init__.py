"""What was taken out of mailboxes, under lock: it alone has it, until it is released or purged."""
