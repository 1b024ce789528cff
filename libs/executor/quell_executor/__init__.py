"""The executor kit: from a warrant to a receipt."""
