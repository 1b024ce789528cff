"""What the Action Center can be asked for: one async method a use case, each decision one transaction."""
