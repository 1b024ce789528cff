"""Sieve scripts (RFC 5228): reading them byte by byte, finding what sends mail on, and taking that out. Pure."""
