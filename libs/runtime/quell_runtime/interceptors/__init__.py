"""What every RPC passes on its way in and out; `shell` puts it in order."""
