"""The device service: the fleet, and the gateway to its agents."""
