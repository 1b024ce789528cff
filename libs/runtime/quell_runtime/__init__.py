"""What every process of Quell stands on."""
