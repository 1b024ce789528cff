"""Where the device service keeps things."""
