"""What would start a file again: where it can stand, how it is disabled, and how all of it is put back."""
