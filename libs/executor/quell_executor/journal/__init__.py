"""What an executor writes down, so that a crash at any point leaves no doubt."""
