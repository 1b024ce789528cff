"""What the device service does, without gRPC."""
